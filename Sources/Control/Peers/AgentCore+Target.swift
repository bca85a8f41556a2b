import Base
import Mesh
import Wire

// The peer that a user names by a name, an address or an id.

extension AgentCore {
    /// The peer that a user names. `nil` where there is none; the request is then refused with the reason.
    func target(
        _ text: String, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) -> (asked: LookUp, known: PeerSummary?)? {
        let known = peers(called: text, now: now)
        guard known.count <= 1 else {
            out.refuse(id, .conflict, "'\(text)': several peers match", field: "peer")
            return nil
        }
        guard let asked = known.first.map({ .node($0.node) }) ?? LookUp(peer: text) else {
            let why = "no peer has that name, and it is no name of a node, no overlay address and no whole node id"
            out.refuse(id, .notFound, "'\(text)': \(why)", field: "peer")
            return nil
        }
        guard !isOwn(asked) else {
            out.refuse(id, .invalid, "that is this node", field: "peer")
            return nil
        }
        return (asked, known.first)
    }

    /// The paths to a peer that a user names. `nil` where there is no session with it; the request is then refused with
    /// the reason.
    func paths(
        to text: String, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) -> (node: NodeID, report: PathReport)? {
        guard let (_, known) = target(text, id, now: now, into: &out) else { return nil }
        guard let known, let report = endpoint.value.report(on: known.node, now: now) else {
            let why = "'\(text)': this node has no session with it; asterism ping makes one"
            out.refuse(id, .notFound, why, field: "peer")
            return nil
        }
        return (known.node, report)
    }

    /// The known peers that a user may mean: by name, overlay address, or the first digits of the id.
    func peers(called text: String, now: Instant) -> [PeerSummary] {
        guard !text.isEmpty else { return [] }
        let address = IPAddress(text), all = endpoint.value.summaries(now: now)
        // A short name may be the beginning of another node's id.
        let named = all.filter { $0.name == text }
        guard named.isEmpty else { return named }
        return all.filter { peer in
            if text.utf8.count >= AgentCore.leastDigits, peer.node.hex.hasPrefix(text) { return true }
            guard let address, let certificate = endpoint.value.certificate(of: peer.node) else { return false }
            return certificate.overlayAddresses.contains(address)
        }
    }

    /// The fewest digits that are read as the beginning of an id. With fewer, a node's name would match another node's id
    /// too often.
    private static let leastDigits = 4

    /// Whether this node is meant.
    func isOwn(_ asked: LookUp) -> Bool {
        switch asked {
        case .node(let node): node == nodeID
        case .address(let address): overlay?.contains(address) ?? false
        case .name(let name): name == standing.membership?.certificate.name
        }
    }

    /// The relay's name, or the first digits of its id; `nil` for a direct path.
    func relayName(of path: PathAddress) -> String? {
        guard let node = endpoint.value.relay(of: path) else { return nil }
        return endpoint.value.certificate(of: node)?.name ?? node.short
    }
}

extension LookUp {
    /// `nil` for what no node can be called.
    init?(peer text: String) {
        if let node = NodeID(hex: text) {
            self = .node(node)
        } else if let address = IPAddress(text).flatMap({ IPAddress(bytes: $0.bytes) }) {
            self = .address(address)
        } else if WorkerSpec.isName(text) {
            self = .name(text)
        } else {
            return nil
        }
    }
}
