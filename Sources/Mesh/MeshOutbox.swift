package import Base
import Wire

/// The outputs of an `Endpoint`. The driver owns one, passes it to every call, and empties it after each.
package struct MeshOutbox: ~Copyable {
    /// To be sent, in this order.
    package var datagrams = DatagramBatch()
    /// Sockets other than the first that are no longer used. A socket that a datagram names for the first time is to be
    /// opened.
    package var closedSockets: [UInt16] = []
    /// Changes for the data plane, in this order; empty where there is none.
    package var dataPlane: [DataPlaneChange] = []
    /// For the layer above, in this order.
    package var events: [MeshEvent] = []

    package init() {}

    /// Appends events of a peer's streams.
    mutating func append(_ events: [StreamEvent], of node: NodeID) {
        self.events.append(contentsOf: events.map { .stream(node, $0) })
    }

    /// Appends a datagram that is complete: a handshake, a cookie or a bind.
    mutating func send(_ bytes: [UInt8], to path: PathAddress, counters: inout MeshCounters) {
        datagrams.append(
            reserving: path.overhead + bytes.count, remote: path.remote, socket: path.socket
        ) { buffer in
            path.write(to: buffer)
            UnsafeMutableRawBufferPointer(rebasing: buffer[path.overhead...]).copyBytes(from: bytes)
            return path.overhead + bytes.count
        }
        counters.sent(bytes: bytes.count)
    }
}
