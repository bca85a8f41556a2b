package import Base

/// One path to a peer: the address to which its datagrams go and from which they come. Where a relay has that address, it
/// also has the allocations that the datagrams name. A relay may itself be behind one: then `allocations` are those at the
/// far relay.
///
/// ```
///   remote                            direct
///   remote: relay, allocations        one hop
///   remote: relay, via, allocations   two hops: `via` are the allocations of this node and of the far relay, at the relay
///                                     that has the address; `allocations` those of this node and of the peer, at the far relay
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
    /// The number of relays on this path.
    package var hops: Int { allocations == nil ? 0 : via == nil ? 1 : 2 }
    package var isTCP: Bool { socket >= PathAddress.tcpOut }
    /// Straight to the node, by UDP.
    package var isDirect: Bool { !isRelayed && !isTCP }
    /// Bytes of the headers before a datagram on this path.
    package var overhead: Int { hops * DatagramHeader.relayedSize }

    /// Writes those headers, if there are any. The header for the nearer relay comes first.
    package func write(to buffer: UnsafeMutableRawBufferPointer) {
        guard let allocations else { return }
        var writer = ByteWriter(reserving: overhead)
        if let via { DatagramHeader.toRelay(via).write(to: &writer) }
        DatagramHeader.toRelay(allocations).write(to: &writer)
        buffer.copyBytes(from: writer.bytes)
    }

    /// The path to the owner of `allocations` at the relay to which this path leads; `nil` where that would be a third
    /// hop.
    package func extended(by allocations: AllocationPair) -> PathAddress? {
        hops < 2 ? PathAddress(remote, allocations: allocations, via: self.allocations, socket: socket) : nil
    }

    /// Whether it uses that allocation of this node, at any of its relays.
    package func uses(allocation: UInt32) -> Bool { allocations?.near == allocation || via?.near == allocation }
}

extension PathAddress: CustomStringConvertible {
    package var description: String {
        ["", "relay ", "two relays "][hops] + (isTCP ? "tcp \(remote)" : "\(remote)")
    }
}
