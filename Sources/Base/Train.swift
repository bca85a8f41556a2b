/// Datagrams of one size to one peer, contiguous in memory: UDP_SEGMENT sends them by one call. The last may be shorter.
package struct Train: Sendable {
    package var remote: SocketAddress
    package var offset: Int
    /// Bytes of all datagrams, and of each but the last.
    package var count: Int
    package var segment: Int
    package var datagrams: Int
    /// The two ECN bits that the datagrams travel with.
    package var congestion: UInt8
    /// A datagram larger than the path is known to carry: the kernel may cut it in pieces.
    package var mayFragment: Bool
    /// As in `DatagramBatch`.
    package var socket: UInt16

    package init(
        remote: SocketAddress, offset: Int, count: Int, segment: Int, datagrams: Int, congestion: UInt8,
        mayFragment: Bool, socket: UInt16 = 0
    ) {
        self.remote = remote
        self.offset = offset
        self.count = count
        self.segment = segment
        self.datagrams = datagrams
        self.congestion = congestion
        self.mayFragment = mayFragment
        self.socket = socket
    }
}
