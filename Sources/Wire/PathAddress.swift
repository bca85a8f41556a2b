package import Base

/// One way to a peer: the address to which its datagrams go and from which they come, and, where a relay has that
/// address, the allocations that they name. A relay may itself be behind one: then `allocations` are those at the far relay.
///
/// ```
///   remote                          direct
///   remote: relay, allocations             one hop
///   remote: relay, via, allocations        two hops: `via` are the allocations at the relay that has the address, of this node
///   and of
///                                   the far relay; `allocations` those at the far relay, of this node and of the peer
/// ```
package struct PathAddress: Hashable, Sendable {
    package var remote: SocketAddress
    package var allocations: AllocationPair?
    /// Nothing without `allocations`.
    package var via: AllocationPair?
    /// Which of the node's sockets; 0 is the one that it listens on, and the last two are its TCP connections.
    package var socket: UInt16

    /// A TCP connection to `remote`, made when there is something to send.
    package static let tcpOut: UInt16 = 0xfffe
    /// One that came from `remote`. When it is over, nothing can be sent there any more.
    package static let tcpIn: UInt16 = 0xffff

    package init(
        _ remote: SocketAddress, allocations: AllocationPair? = nil, via: AllocationPair? = nil, socket: UInt16 = 0
    ) {
        self.remote = remote
        self.allocations = allocations
        self.via = via
        self.socket = socket
    }

    /// Over TCP: datagrams one behind the other in a connection, as `DatagramFraming` has them.
    package static func tcp(_ remote: SocketAddress) -> PathAddress { PathAddress(remote, socket: tcpOut) }

    package var isRelayed: Bool { allocations != nil }
    /// How many relays carry what goes this way.
    package var hops: Int { allocations == nil ? 0 : via == nil ? 1 : 2 }
    package var isTCP: Bool { socket >= PathAddress.tcpOut }
    /// Straight to the node, by UDP.
    package var isDirect: Bool { !isRelayed && !isTCP }
    /// Bytes that stand before a datagram that goes this way.
    package var overhead: Int { hops * DatagramHeader.relayedSize }

    /// Writes those bytes, if there are any: what the nearer relay is to read comes first.
    package func write(to buffer: UnsafeMutableRawBufferPointer) {
        guard let allocations else { return }
        var writer = ByteWriter(reserving: overhead)
        if let via { DatagramHeader.toRelay(via).write(to: &writer) }
        DatagramHeader.toRelay(allocations).write(to: &writer)
        buffer.copyBytes(from: writer.bytes)
    }

    /// The way to anyone who has `allocations` at the relay that this is the way to; `nil` where that would be a third hop.
    package func extended(by allocations: AllocationPair) -> PathAddress? {
        hops < 2 ? PathAddress(remote, allocations: allocations, via: self.allocations, socket: socket) : nil
    }

    /// Whether it goes by that allocation of this node's, at whichever of its relays.
    package func uses(allocation: UInt32) -> Bool { allocations?.near == allocation || via?.near == allocation }
}

extension PathAddress: CustomStringConvertible {
    package var description: String {
        ["", "relay ", "two relays "][hops] + (isTCP ? "tcp \(remote)" : "\(remote)")
    }
}
