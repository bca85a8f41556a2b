import Base
import Synchronization
package import Wire

/// What one peer may send to this node.
package struct PeerPolicy: Hashable, Sendable {
    package let allowsEverything: Bool
    private let rules: [PolicyRule]

    package init(own: Certificate, peer: Certificate, rules: [PolicyRule]) {
        func application(_ certificate: Certificate) -> String? {
            certificate.labels.first { $0.name == PolicyRule.applicationLabel }?.value
        }
        let mine = rules.filter { $0.applies(to: peer) }
        allowsEverything =
            application(own) == application(peer) || mine.contains { $0.transport == nil && $0.ports.isEmpty }
        self.rules = mine
    }

    /// By rule, not by flow.
    func allows(_ packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket) -> Bool {
        let transport = inner.transport == InnerPacket.icmp6 ? InnerPacket.icmp4 : inner.transport
        if inner.isLaterFragment {
            // Without its first fragment, which is checked by its ports, it cannot be reassembled. But a second fragment may
            // be made to overwrite the first one's header (RFC 1858, section 3.2).
            return packet.word16(6) & 0x1fff > 1
        }
        if transport == InnerPacket.icmp4, PeerPolicy.isError(packet, count: count, inner) { return true }
        let port = PeerPolicy.ports(packet, count: count, inner)?.destination
        return rules.contains { rule in
            guard rule.transport == nil || rule.transport == transport else { return false }
            if rule.ports.isEmpty { return true }
            guard let port else { return false }
            return rule.ports.contains { $0.contains(port) }
        }
    }

    /// ICMP errors, which report on other packets and begin no flow (RFC 1122, section 3.2.2; RFC 4443, section 2.1).
    private static func isError(_ packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket) -> Bool {
        guard count > inner.headerLength else { return false }
        let kind = packet.load(fromByteOffset: inner.headerLength, as: UInt8.self)
        return inner.isIPv4 ? kind == 3 || kind == 11 : (1...4).contains(kind)
    }

    /// Ports of TCP and UDP; the identifier of an ICMP echo stands for both.
    static func ports(
        _ packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket
    ) -> (source: UInt16, destination: UInt16)? {
        guard !inner.isLaterFragment, count >= inner.headerLength + 8 else { return nil }
        switch inner.transport {
        case InnerPacket.tcp, InnerPacket.udp:
            return (packet.word16(inner.headerLength), packet.word16(inner.headerLength + 2))
        case InnerPacket.icmp4, InnerPacket.icmp6:
            let identifier = packet.word16(inner.headerLength + 4)
            return (identifier, identifier)
        default: return nil
        }
    }
}
