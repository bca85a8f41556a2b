import Base
import Mesh
import Noise
import OrderedCollections
import Wire

/// # How a node is let into the fleet
///
/// A node without a certificate has a session for half a minute. In it, it opens a stream and shows the proof of a token.
/// After a few wrong proofs the session ends, and the node must repeat the handshake.
struct EnrolmentService {
    /// A node without a certificate.
    private struct NewNode {
        let handshakeHash: [UInt8]
        var link: ControlLink?
        var attempts = 0
    }

    private var newNodes = OrderedDictionary<NodeID, NewNode>()
    private var refused = OrderedDictionary<EnrolRefusal, Int>()

    /// Wrong proofs that one session may bring.
    private static let attempts = 3
    /// A new node needs to send only a few hundred bytes. A node that sends more is refused.
    private static let bytes = 16 << 10

    /// How often enrolment was refused for this reason.
    func refusals(_ reason: EnrolRefusal) -> Int { refused[reason] ?? 0 }

    // MARK: - Sessions

    mutating func connected(_ node: NodeID, _ session: PeerSession) {
        newNodes[node] = NewNode(handshakeHash: session.handshakeHash)
    }

    mutating func disconnected(_ node: NodeID) { newNodes.removeValue(forKey: node) }

    func isNew(_ node: NodeID) -> Bool { newNodes[node] != nil }

    mutating func opened(_ stream: StreamID, of node: NodeID) {
        newNodes[node]?.link = ControlLink(node: node, stream: stream)
    }

    mutating func closed(_ stream: StreamID, of node: NodeID) {
        if newNodes[node]?.link?.stream == stream { newNodes[node]?.link = nil }
    }

    /// Something has come on a new node's stream.
    mutating func readable(
        _ stream: StreamID, of node: NodeID, _ tokens: inout TokenRegistry, overlay: OverlayAddresses,
        core: inout ControllerCore, now: Instant, into out: inout ControllerOutbox
    ) {
        guard newNodes[node]?.link?.stream == stream else { return }
        _ = newNodes[node]?.link?.read(from: &core.endpoint.value, limit: EnrolmentService.bytes, into: &out.mesh)
        while let message = newNodes[node]?.link?.nextMessage() {
            guard case .enrol(let enrol) = message else { continue }
            answer(enrol, from: node, &tokens, overlay: overlay, core: &core, now: now, into: &out)
        }
        guard let link = newNodes[node]?.link else { return }
        if link.isBroken || link.pendingBytes >= EnrolmentService.bytes {
            core.endpoint.value.disconnect(node, now: now, into: &out.mesh)
        }
    }

    // MARK: - Enrolment

    private mutating func answer(
        _ enrol: Enrol, from node: NodeID, _ tokens: inout TokenRegistry, overlay: OverlayAddresses,
        core: inout ControllerCore, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let new = newNodes[node], new.attempts < EnrolmentService.attempts else {
            return core.endpoint.value.disconnect(node, now: now, into: &out.mesh)
        }
        newNodes[node]?.attempts += 1
        let reply: EnrolReply
        let objection = EnrolmentService.objection(to: enrol, node, new.handshakeHash, tokens, core: core, now: now)
        if let (refusal, text) = objection {
            refused[refusal, default: 0] += 1
            out.persist([core.record(.nodeRefused, "'\(enrol.name.prefix(63))': \(text)", now: now)])
            reply = .refused(refusal, text: text)
        } else {
            reply = .admitted(
                EnrolmentService.admit(enrol, node, &tokens, overlay: overlay, core: &core, now: now, into: &out))
        }
        _ = newNodes[node]?.link?.send(.enrolReply(reply), to: &core.endpoint.value)
    }

    private static func objection(
        to enrol: Enrol, _ node: NodeID, _ handshakeHash: [UInt8], _ tokens: TokenRegistry,
        core: borrowing ControllerCore, now: Instant
    ) -> (refusal: EnrolRefusal, text: String)? {
        let member = core.registry.slot(of: node)
        let isReturning = member.map { core.registry[$0].record.token == enrol.tokenID.hex } ?? false
        let refusal = tokens.judge(
            enrol, handshakeHash: handshakeHash, isReturning: isReturning, wall: core.clock.wall(now))
        if let refusal { return (refusal, refusal.text) }
        return NodeCertificates.objection(to: description(enrol), of: node, core.registry)
    }

    private static func admit(
        _ enrol: Enrol, _ node: NodeID, _ tokens: inout TokenRegistry, overlay: OverlayAddresses,
        core: inout ControllerCore, now: Instant, into out: inout ControllerOutbox
    ) -> Admission {
        var changes: [StoreChange] = []
        let old = core.registry.slot(of: node).map { core.registry[$0].record }
        var roles = Roles.agent
        if tokens[enrol.tokenID]?.isForBeacons ?? false { roles.insert(.beacon) }
        if old?.token != enrol.tokenID.hex, let token = tokens.use(enrol.tokenID) { changes.append(.token(token)) }
        let known = old?.certificate.certificate.overlay4 ?? .any4
        let overlay4 = known.isUnspecified ? overlay.next(core: &core) : known
        let certificate = core.issue(to: node, description(enrol), roles: roles, overlay4: overlay4, now: now)
        let wall = core.clock.wall(now)
        let entry = NodeRecord(
            node: node, certificate: certificate, enrolledAt: old?.enrolledAt ?? wall, token: enrol.tokenID.hex,
            revision: old?.revision ?? 1)
        let slot = core.registry.add(entry)
        changes += [.counters(core.counters), .node(entry)]
        let place = overlay4.isUnspecified ? "\(overlay.network) is full, so without an IPv4 address" : "as \(overlay4)"
        changes.append(core.record(.nodeEnrolled, "with token \(enrol.tokenID.hex), \(place)", slot: slot, now: now))
        out.persist(changes)
        return Admission(
            certificate: certificate.encoded(), authorities: [core.authority.verifyingKey.bytes],
            controllers: [core.address], overlayNetwork: overlay.network, clock: wall)
    }

    /// As certificates need it: labels sorted, each name once.
    private static func description(_ enrol: Enrol) -> NodeDescription {
        var labels: [Label] = []
        for label in enrol.labels.sorted(by: { $0.name < $1.name }) where labels.last?.name != label.name {
            labels.append(label)
        }
        return NodeDescription(name: enrol.name, site: enrol.site, labels: labels)
    }
}
