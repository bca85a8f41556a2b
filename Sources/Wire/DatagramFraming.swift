/// # Datagrams over TCP
///
/// Where a network blocks UDP, a node's datagrams to a relay go through a TCP connection, one after the other, each after
/// its length:
///
/// ```
/// first, from the one who connects:   "AST" 1
/// then, both ways:                    length 2 | datagram        and so on
/// ```
///
/// Only the datagrams themselves are sealed, as over UDP. So the relay opens nothing here either, and nothing is sealed
/// twice. The four bytes distinguish a node from another client, such as a browser at the wrong port, before any state
/// is kept for it. Lengths are big-endian, from 1 to `DatagramFraming.limit`; any other ends the connection.
package struct DatagramFraming: Sendable {
    package static let greeting: [UInt8] = [0x41, 0x53, 0x54, 1]
    package static let lengthSize = 2
    /// Bytes of a datagram: those of the largest frames that networks have.
    package static let limit = 9216

    /// Why bytes are not a frame.
    package enum Fault: Error, Hashable, Sendable {
        case badGreeting
        case badLength(Int)
    }

    private var awaitsGreeting: Bool
    private var buffer: [UInt8] = []
    private var start = 0

    /// `isServer`: the far end has connected to this one, and sends the greeting first.
    package init(isServer: Bool) { awaitsGreeting = isServer }

    /// Bytes that are not a whole datagram yet.
    package var pendingBytes: Int { buffer.count - start }

    /// Takes received bytes and hands on each complete datagram, which may be changed in place.
    package mutating func receive(
        _ bytes: [UInt8], _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(Fault) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += bytes
        if awaitsGreeting {
            // A wrong greeting is refused at its first wrong byte, not after four bytes.
            guard buffer.starts(with: DatagramFraming.greeting.prefix(buffer.count)) else { throw .badGreeting }
            guard buffer.count >= DatagramFraming.greeting.count else { return }
            awaitsGreeting = false
            start = DatagramFraming.greeting.count
        }
        while buffer.count - start >= DatagramFraming.lengthSize {
            let length = Int(buffer[start]) << 8 | Int(buffer[start + 1])
            guard length > 0, length <= DatagramFraming.limit else { throw .badLength(length) }
            let first = start + DatagramFraming.lengthSize
            guard buffer.count - first >= length else { return }
            start = first + length
            buffer.withUnsafeMutableBytes { body(UnsafeMutableRawBufferPointer(rebasing: $0[first..<first + length])) }
        }
    }

    /// Writes one datagram behind what is there.
    package static func append(_ datagram: UnsafeRawBufferPointer, to bytes: inout [UInt8]) {
        precondition(
            !datagram.isEmpty && datagram.count <= limit, "a datagram of \(datagram.count) bytes")
        bytes.append(UInt8(datagram.count >> 8))
        bytes.append(UInt8(datagram.count & 0xff))
        bytes.append(contentsOf: datagram)
    }
}
