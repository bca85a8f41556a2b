package import Base

/// The two places at a relay between which it carries a datagram, as one of the two nodes sees them.
package struct AllocationPair: Hashable, Sendable {
    /// This node's.
    package var near: UInt32
    /// The peer's.
    package var far: UInt32

    package init(near: UInt32, far: UInt32) {
        self.near = near
        self.far = far
    }
}

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

/// What a node has found out about the NAT before it (RFC 4787, section 4.1).
package enum NATMapping: UInt8, Hashable, Sendable, CaseIterable {
    case unknown = 0
    /// Others see it at its own address.
    case none = 1
    /// Everybody sees it at the same address: endpoint-independent mapping, or ports that are preserved.
    case endpointIndependent = 2
    /// Each sees it at another.
    case endpointDependent = 3
    /// No UDP gets out, or none comes back: it has relays over TCP alone.
    case blocked = 4
}

/// Where a node may be reached, as it says of itself.
package enum PathCandidate: Hashable, Sendable {
    case direct(SocketAddress)
    case relayed(RelayedAddress)

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        switch try reader.uint8("candidate") {
        case 0: self = .direct(try SocketAddress(reading: &reader))
        case 1:
            let address = try SocketAddress(reading: &reader)
            // 32 bytes make a NodeID.
            let relay = NodeID(try reader.bytes(32, "relay"))!
            self = .relayed(RelayedAddress(relay: relay, address: address, allocation: try reader.uint32("allocation")))
        case _: throw DecodeError(.invalidValue, "candidate", at: reader.offset)
        }
    }

    package func write(to writer: inout ByteWriter) {
        switch self {
        case .direct(let address):
            writer.uint8(0)
            address.write(to: &writer)
        case .relayed(let place):
            writer.uint8(1)
            place.address.write(to: &writer)
            writer.append(place.relay.bytes)
            writer.uint32(place.allocation)
        }
    }
}

/// A node's allocation at a relay, and where the relay is.
package struct RelayedAddress: Hashable, Sendable {
    package var relay: NodeID
    package var address: SocketAddress
    package var allocation: UInt32

    package init(relay: NodeID, address: SocketAddress, allocation: UInt32) {
        self.relay = relay
        self.address = address
        self.allocation = allocation
    }
}
