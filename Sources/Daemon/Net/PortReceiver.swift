package import Base

/// Receives a port's messages where they are passed on whole: the entry of the overlay.
package struct PortReceiver {
    /// Bytes, the size of each datagram in them, the congestion mark, the far end, and the socket by which they came.
    package private(set) var message: (UnsafeMutableRawBufferPointer, Int, UInt8, SocketAddress, UInt16) -> Void
    /// Nothing more is to be read for now.
    package private(set) var round: () -> Void
    /// Trains may be sent again.
    package private(set) var writable: () -> Void
    /// A datagram was larger than the path to this address carries.
    package private(set) var tooLarge: (SocketAddress) -> Void

    package init(
        message: @escaping (UnsafeMutableRawBufferPointer, Int, UInt8, SocketAddress, UInt16) -> Void,
        round: @escaping () -> Void, writable: @escaping () -> Void, tooLarge: @escaping (SocketAddress) -> Void
    ) {
        self.message = message
        self.round = round
        self.writable = writable
        self.tooLarge = tooLarge
    }
}
