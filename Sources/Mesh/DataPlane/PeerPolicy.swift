import Base
import Synchronization
package import Wire

/// # Who may reach what
///
/// Nodes of one application (the label `app` of their certificates, or its absence) reach each other freely. Between
/// applications nothing passes that no rule of the receiving node allows, but for answers: what this node has sent opens
/// the way back for as long as it is used (`FlowTable`). Rules name peers by labels of their certificates, which the
/// fleet's authority has signed, so that no peer can give itself what it was not given.
package struct PolicyRule: Hashable, Sendable {
    /// `nil`: any.
    package let transport: UInt8?
    /// Destination ports; none: all.
    package var ports: [ClosedRange<UInt16>] = []
    /// All of these the peer must have; none: any peer of the fleet.
    package var labels: [Label] = []

    /// The label that says which application a node belongs to.
    package static let applicationLabel = "app"

    /// `PROTOCOL[:PORTS] [from LABEL=VALUE[,LABEL=VALUE...]]`, where the protocol is any, tcp, udp or icmp, and ports are
    /// numbers and ranges with commas: `tcp:80,8000-8099 from app=web`. The error says what is wrong.
    package init(parsing text: String) throws(PolicyRuleError) {
        let words = text.split(separator: " ")
        guard words.count == 1 || words.count == 3 else { throw .init("write PROTOCOL[:PORTS] [from LABEL=VALUE,...]") }
        let parts = words[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch parts[0] {
        case "any": transport = nil
        case "tcp": transport = InnerPacket.tcp
        case "udp": transport = InnerPacket.udp
        case "icmp": transport = InnerPacket.icmp4
        default: throw .init("'\(parts[0])' is not any, tcp, udp or icmp")
        }
        if parts.count == 2 {
            guard transport == InnerPacket.tcp || transport == InnerPacket.udp else {
                throw .init("only tcp and udp have ports")
            }
            for part in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
                ports.append(try PolicyRule.range(part))
            }
        }
        guard words.count == 3 else { return }
        guard words[1] == "from" else { throw .init("'\(words[1])' stands where 'from' should") }
        for part in words[2].split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, !sides[0].isEmpty else { throw .init("'\(part)' is not LABEL=VALUE") }
            labels.append(Label(String(sides[0]), String(sides[1])))
        }
    }

    private static func range(_ text: Substring) throws(PolicyRuleError) -> ClosedRange<UInt16> {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { UInt16($0) }
        guard let first = ends[0], let last = ends[ends.count - 1], first >= 1, first <= last else {
            throw .init("'\(text)' is not a port or a range of ports, 1 to 65535")
        }
        return first...last
    }

    func applies(to certificate: Certificate) -> Bool {
        labels.allSatisfy { certificate.labels.contains($0) }
    }
}

package struct PolicyRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

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
            // Without its first piece, which is judged by its ports, nobody can put it together; but a second piece may
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

    /// ICMP that reports on other packets, and begins nothing (RFC 1122, section 3.2.2; RFC 4443, section 2.1).
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

/// # What this node has begun
///
/// A bounded table of conversations with peers that may not begin one themselves: eight places for each hash, the
/// longest unused gives way. It is asked only where no rule allows a packet, and costs nothing where everything is
/// allowed. Data planes of several threads share one: what one has sent, another may get the answer to.
package final class FlowTable: Sendable {
    private let table = Mutex(Conversations())

    package init() {}

    func note(outward packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket, now: Instant) {
        guard let ports = PeerPolicy.ports(packet, count: count, inner) else { return }
        let talk = Conversations.talk(inner.transport, local: ports.source, remote: ports.destination)
        table.withLock { $0.note(inner.destination, talk, now: now) }
    }

    func knows(inward packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket, now: Instant) -> Bool {
        guard let ports = PeerPolicy.ports(packet, count: count, inner) else { return false }
        let talk = Conversations.talk(inner.transport, local: ports.destination, remote: ports.source)
        let life = inner.transport == InnerPacket.tcp ? FlowTable.lifeTCP : FlowTable.life
        return table.withLock { $0.knows(inner.source, talk, life, now: now) }
    }

    /// Unused for so long, a conversation is over (RFC 5382, REQ-5, would have TCP wait 2 h; an hour does for those who
    /// send keepalives).
    private static let lifeTCP = Interval.minutes(60)
    private static let life = Interval.minutes(3)
}

private struct Conversations: ~Copyable, @unchecked Sendable {
    private struct Place {
        /// The destination's address, so that who comes after it inherits nothing.
        var peer = OverlayKey(high: 0, low: 0)
        /// Protocol and ports; 0 where free, since no protocol that is tracked has that number.
        var talk: UInt64 = 0
        var usedAt = Instant.origin
    }
    private static let sets = Limits.overlayFlows / 8
    /// Made with the first conversation.
    private var places: UnsafeMutablePointer<Place>?

    init() {}
    deinit { places?.deallocate() }

    static func talk(_ transport: UInt8, local: UInt16, remote: UInt16) -> UInt64 {
        UInt64(transport) << 32 | UInt64(local) << 16 | UInt64(remote)
    }

    private static func set(_ peer: OverlayKey, _ talk: UInt64) -> Int {
        let mixed = (peer.high ^ peer.low &* 0x9e37_79b9_7f4a_7c15 ^ talk) &* 0xff51_afd7_ed55_8ccd
        return Int(truncatingIfNeeded: mixed >> 40) % Conversations.sets * 8
    }

    mutating func note(_ peer: OverlayKey, _ talk: UInt64, now: Instant) {
        let all = ensure(), first = Conversations.set(peer, talk)
        var oldest = first
        for index in first..<first + 8 {
            if all[index].talk == talk, all[index].peer == peer {
                all[index].usedAt = now
                return
            }
            if all[index].usedAt < all[oldest].usedAt { oldest = index }
        }
        all[oldest] = Place(peer: peer, talk: talk, usedAt: now)
    }

    mutating func knows(_ peer: OverlayKey, _ talk: UInt64, _ life: Interval, now: Instant) -> Bool {
        guard let all = places else { return false }
        let first = Conversations.set(peer, talk)
        for index in first..<first + 8 where all[index].talk == talk && all[index].peer == peer {
            guard now - all[index].usedAt < life else { return false }
            all[index].usedAt = now
            return true
        }
        return false
    }

    private mutating func ensure() -> UnsafeMutablePointer<Place> {
        if let places { return places }
        let new = UnsafeMutablePointer<Place>.allocate(capacity: Conversations.sets * 8)
        new.initialize(repeating: Place(), count: Conversations.sets * 8)
        places = new
        return new
    }
}
