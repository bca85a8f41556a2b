import Base
import Synchronization
package import Wire

/// # Which peers may reach what
///
/// Nodes of one application (the label `app` of their certificates, or its absence) reach each other freely. Between
/// applications only packets pass that a rule of the receiving node allows, and answers: a packet of this node allows the
/// answers for as long as the flow is used (`FlowTable`). Rules name peers by labels of their certificates. The fleet's
/// authority has signed these, so no peer can give itself a label.
package struct PolicyRule: Hashable, Sendable {
    /// `nil`: any.
    package let transport: UInt8?
    /// Destination ports; none: all.
    package var ports: [ClosedRange<UInt16>] = []
    /// All of these the peer must have; none: any peer of the fleet.
    package var labels: [Label] = []

    /// The label that states which application a node belongs to.
    package static let applicationLabel = "app"

    /// `PROTOCOL[:PORTS] [from LABEL=VALUE[,LABEL=VALUE...]]`, where the protocol is any, tcp, udp or icmp, and ports are
    /// numbers and ranges with commas: `tcp:80,8000-8099 from app=web`. The error states what is wrong.
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
    package let description: String

    init(_ description: String) { self.description = description }
}
