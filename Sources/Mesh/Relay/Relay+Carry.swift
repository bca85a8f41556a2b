import Base
import Wire

// How this node, as a relay, handles datagrams and requests.

extension Relay {
    /// A datagram of kind 6. It is forwarded as kind 7, or dropped, or its sender is asked to bind.
    mutating func carry(
        _ datagram: UnsafeMutableRawBufferPointer, _ allocations: AllocationPair, from remote: PathAddress,
        now: Instant,
        counters: inout MeshCounters, into out: inout MeshOutbox
    ) {
        let inside = DatagramKind(rawValue: datagram[DatagramHeader.relayedSize])
        switch carry(
            allocations, count: datagram.count, isForRelays: inside?.isForRelays ?? true, from: remote, now: now)
        {
        case .forward(let path):
            // The allocations are exchanged: the sender's becomes the receiver's far one.
            let ahead = path.overhead
            out.datagrams.append(
                reserving: ahead + datagram.count, remote: path.remote, socket: path.socket
            ) { buffer in
                path.write(to: buffer)
                let carried = UnsafeMutableRawBufferPointer(rebasing: buffer[ahead...])
                carried.copyMemory(from: UnsafeRawBufferPointer(datagram))
                carried[0] = DatagramKind.fromRelay.rawValue
                return ahead + datagram.count
            }
        case .challenge(let bytes): out.send(bytes, to: remote, counters: &counters)
        case .dropped(let reason): counters.drop(reason)
        }
    }

    /// A datagram of kind 8.
    mutating func receiveBind(
        _ datagram: [UInt8], from remote: PathAddress, now: Instant, counters: inout MeshCounters,
        into out: inout MeshOutbox
    ) {
        guard let answer = bind(datagram, from: remote, now: now) else { return counters.drop(.badBind) }
        out.send(answer, to: remote, counters: &counters)
    }

    /// The answer to a peer's request for an allocation. `certificate`: the peer's; `nil` where this node is no relay.
    mutating func grant(
        to node: NodeID, _ certificate: Certificate?, at path: PathAddress, now: Instant
    ) -> MeshFrame {
        guard let certificate, path.hops < 2 else { return .allocationRefused(.notARelay) }
        let tenant = certificate.labels.first { $0.name == "app" }?.value ?? ""
        guard let allocation = allocation(for: node, tenant: tenant, at: path, now: now) else {
            return .allocationRefused(.full)
        }
        return .allocation(allocation.number, key: allocation.key, challenge: allocation.challenge)
    }
}
