import Base
import Mesh
import Noise
import Wire

/// # How a node becomes a member
///
/// ```
///  unenrolled ── token ──→ enrolling ── admitted ──→ member
///       ↑                      │ refused
///       └──────────────────────┘
/// ```
///
/// A member learns the present addresses of the controllers from a newer token of its own fleet.
struct Enroller: Sendable {
    /// A caller that waits for a controller at the addresses of a newer token.
    private struct Mover: Sendable {
        let asker: RequestID
        let until: Instant
        let places: [String]
    }

    /// Why the last token has led to no fleet; `nil` where it has, or where none was given.
    private(set) var problem: String?
    private var movers: [Mover] = []

    private static let moverLimit = 16
    private static let askerLimit = 64

    func deadline(_ standing: Standing) -> Deadline? {
        var earliest = movers.map(\.until).min().map { Deadline($0, "a controller that moved") }
        guard case .enrolling(let enrolment) = standing else { return earliest }
        for deadline in [
            enrolment.giveUpAt.map { Deadline($0, "enrolment") },
            enrolment.answerBy.map { Deadline($0, "answer to an enrolment") },
            enrolment.reportAt.map { Deadline($0, "a token without an answer") },
        ] { earliest = Deadline.earliest(earliest, deadline) }
        return earliest
    }

    /// A request to join with a token. `asker` waits for the outcome; without one the token is tried until it is accepted
    /// or refused.
    struct Request {
        let token: String
        let name: String?
        let asker: RequestID?
    }

    /// Returns the callers to which the join is to be reported.
    mutating func join(
        _ request: Request, certificate: inout CertificateKeeper, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) -> [RequestID] {
        let token: TokenText
        do throws(TokenError) {
            token = try TokenText(request.token)
        } catch {
            refuse(.invalid, error.description, request.asker, core: &core, into: &out)
            return []
        }
        if case .member(let membership) = core.standing {
            return move(
                to: token, request, membership, certificate: &certificate, core: &core, now: now, into: &out)
        }
        begin(token, request, core: &core, now: now, into: &out)
        return []
    }

    private mutating func begin(
        _ token: TokenText, _ request: Request, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        let name = request.name ?? core.configuration.name, asker = request.asker
        switch core.standing {
        case .enrolling(var enrolment) where enrolment.token == token && enrolment.name == name:
            if let asker, enrolment.askers.count < Enroller.askerLimit { enrolment.askers.append(asker) }
            core.standing = .enrolling(enrolment)
            return
        case .enrolling(let other):
            giveUp(other, APIError(.conflict, "another token was given"), core: &core, now: now, into: &out)
        case .unenrolled, .member: break
        }
        guard token.controller != core.nodeID, !token.place.isNowhere else {
            return refuse(
                .invalid, "the token holds no address of a controller; make one with a controller that has --advertise",
                asker, core: &core, into: &out)
        }
        problem = nil
        core.standing = .enrolling(
            Enrolment(
                token: token, name: name, askers: asker.map { [$0] } ?? [],
                giveUpAt: asker == nil ? nil : now + Enrolment.patience,
                reportAt: asker == nil ? now + Enrolment.reportAfter : nil))
        core.endpoint.value.pin([token.controller])
        core.endpoint.value.trust([token.authority])
        core.uplink.retry(after: .none, random: &core.random, now: now)
    }

    /// A member does not need the token that its configuration names; the file may have been removed.
    mutating func noToken(_ why: String, core: inout AgentCore, into out: inout AgentOutbox) {
        guard core.standing.membership == nil else { return }
        refuse(.invalid, why, nil, core: &core, into: &out)
    }

    /// A token has no effect. A caller that waits gets the reason. The log and the status show it in any case.
    private mutating func refuse(
        _ code: APIError.Code, _ why: String, _ asker: RequestID?, core: inout AgentCore, into out: inout AgentOutbox
    ) {
        core.counters.add(.enrolmentsRefused)
        out.report(.joinRefused(why))
        if case .unenrolled = core.standing { problem = why }
        if let asker { out.refuse(asker, code, why, field: "token") }
    }

    // MARK: - Enrolment

    /// Shows the token's proof on a control stream that has opened in `session`.
    mutating func enrol(_ enrolment: Enrolment, _ session: PeerSession, core: inout AgentCore, now: Instant) {
        var asked = enrolment
        asked.answerBy = now + Enrolment.answerPatience
        core.standing = .enrolling(asked)
        let proof = TokenText.proof(secret: enrolment.token.secret, handshakeHash: session.handshakeHash)
        let configuration = core.configuration
        core.send(
            .enrol(
                Enrol(
                    tokenID: enrolment.token.id, proof: proof, name: enrolment.name, labels: configuration.labels,
                    site: configuration.site,
                    addresses: Array(configuration.addresses.prefix(Limits.addressesPerPeer)),
                    clock: core.clock.own(now))))
    }

    mutating func service(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        serviceEnrolment(core: &core, now: now, into: &out)
        for mover in movers where mover.until <= now {
            let why = "no controller answers at \(mover.places.joined(separator: ", ")); the agent keeps trying"
            out.refuse(mover.asker, .timeout, why)
        }
        movers.removeAll { $0.until <= now }
    }

    private mutating func serviceEnrolment(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        guard case .enrolling(var enrolment) = core.standing else { return }
        let places = enrolment.token.place.texts
        if let reportAt = enrolment.reportAt, reportAt <= now {
            enrolment.reportAt = nil
            core.standing = .enrolling(enrolment)
            problem = "no controller answers at \(places.joined(separator: ", ")); the agent keeps trying"
            out.report(.joinWaiting(places: places))
        }
        guard let giveUpAt = enrolment.giveUpAt, giveUpAt <= now else {
            guard let answerBy = enrolment.answerBy, answerBy <= now else { return }
            enrolment.answerBy = nil
            core.standing = .enrolling(enrolment)
            return core.reconnect(enrolment.token.controller, after: .backoff, now: now, into: &out)
        }
        let error = APIError(.timeout, "no controller answers at \(places.joined(separator: ", "))")
        giveUp(enrolment, error, core: &core, now: now, into: &out)
    }

    private mutating func giveUp(
        _ enrolment: Enrolment, _ error: APIError, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        core.counters.add(.enrolmentsRefused)
        core.standing = .unenrolled
        core.uplink.close()
        problem = error.message
        out.report(.joinRefused(error.message))
        core.endpoint.value.pin([])
        core.endpoint.value.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        for asker in enrolment.askers { out.refuse(asker, error) }
    }

    /// The controller's answer. Returns the callers to which the join is to be reported.
    mutating func apply(
        _ reply: EnrolReply, _ enrolment: Enrolment, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) -> [RequestID] {
        switch reply {
        case .refused(.wrongProof, _) where enrolment.wrongProofs + 1 < Enrolment.wrongProofLimit:
            var again = enrolment
            again.wrongProofs += 1
            again.answerBy = nil
            core.standing = .enrolling(again)
            core.reconnect(enrolment.token.controller, after: .backoff, now: now, into: &out)
        case .refused(let reason, let text):
            let error = Enroller.error(reason, text)
            giveUp(enrolment, error, core: &core, now: now, into: &out)
        case .admitted(let admission):
            return apply(admission, enrolment, core: &core, now: now, into: &out)
        }
        return []
    }

    private static func error(_ reason: EnrolRefusal, _ text: String) -> APIError {
        let (field, remedy) =
            switch reason {
            case .nameTaken, .badName: ("name", "; choose another with --name, or another site")
            case .badLabel: ("label", "; see 'label' in agent.yaml")
            case .unknownToken, .wrongProof, .expired, .usedUp: ("token", "")
            }
        return APIError(.refused, "\(reason.rawValue): \(text)\(remedy)", field: field)
    }

    private mutating func apply(
        _ admission: Admission, _ enrolment: Enrolment, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) -> [RequestID] {
        if let reading = admission.clock { core.learnClock(reading, now: now, into: &out) }
        do throws(CertificateFault) {
            _ = try core.verify(
                admission.certificate, of: core.nodeID, authorities: [enrolment.token.authority],
                fleet: enrolment.token.fleet, now: now)
        } catch {
            let error = APIError(.refused, "the controller's certificate is \(error)")
            giveUp(enrolment, error, core: &core, now: now, into: &out)
            return []
        }
        guard let membership = Membership(admission) else {
            core.counters.add(.certificatesRefused)
            let error = APIError(.refused, "the controller's answer cannot be read")
            giveUp(enrolment, error, core: &core, now: now, into: &out)
            return []
        }
        admit(membership, enrolment, core: &core, now: now, into: &out)
        return enrolment.askers
    }

    private mutating func admit(
        _ membership: Membership, _ enrolment: Enrolment, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) {
        out.actions.append(.persistMembership(MembershipRecord(membership.admission).encoded()))
        core.standing = .member(membership)
        problem = nil
        core.memberSince = now
        // The name that was asked for counts until the next start, which follows the configuration again.
        (core.configuration.name, core.configuration.isNameChosen) = (membership.certificate.name, true)
        out.report(.joined(name: membership.certificate.name, fleet: membership.certificate.fleet))
        core.endpoint.value.pin(membership.admission.controllers.map(\.node))
        core.endpoint.value.adopt(membership.credentials)
        // The controller knows this session as one without a certificate; the next one shows the certificate.
        core.reconnect(enrolment.token.controller, after: .none, now: now, into: &out)
    }

    // MARK: - A member and a newer token

    /// A token of this node's own fleet states where the controllers are now. It is not used up: the node is a member
    /// already.
    private mutating func move(
        to token: TokenText, _ request: Request, _ membership: Membership, certificate: inout CertificateKeeper,
        core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) -> [RequestID] {
        let asker = request.asker
        if let (code, why) = Enroller.objection(to: token, membership, of: core.nodeID) {
            refuse(code, why, asker, core: &core, into: &out)
            return []
        }
        if let name = request.name { certificate.rename(to: name, core: &core, into: &out) }
        let places = relocate(token, isByPerson: asker != nil, membership, core: &core, into: &out)
        guard !core.hasController(now: now) else { return asker.map { [$0] } ?? [] }
        if let asker {
            guard movers.count < Enroller.moverLimit else {
                out.refuse(asker, .limit, "too many requests to join wait for the controller")
                return []
            }
            movers.append(Mover(asker: asker, until: now + Enrolment.patience, places: places))
        }
        core.restartUplink(now: now, into: &out)
        return []
    }

    /// Why a member cannot use the token.
    private static func objection(
        to token: TokenText, _ membership: Membership, of node: NodeID
    ) -> (code: APIError.Code, why: String)? {
        let fleet = membership.certificate.fleet
        if token.fleet != fleet {
            return (
                .conflict, "this node is a member of fleet \(fleet.hex), and the token is of fleet \(token.fleet.hex)"
            )
        }
        guard membership.credentials.authorities.contains(token.authority) else {
            return (.refused, "the token names a key that does not sign for this fleet")
        }
        return token.controller == node ? (.invalid, "the token names this node as its controller") : nil
    }

    /// Puts the token's controller among the known ones. Returns its place, for people.
    private func relocate(
        _ token: TokenText, isByPerson: Bool, _ membership: Membership, core: inout AgentCore,
        into out: inout AgentOutbox
    ) -> [String] {
        var admission = membership.admission
        let index = admission.controllers.firstIndex { $0.node == token.controller }
        let known = index.map { admission.controllers[$0] }
        // A token that a person gives is current. The configuration's may be old: its addresses are appended to the
        // known ones.
        let place = known.map { isByPerson ? token.place.before($0) : $0.before(token.place) } ?? token.place
        if let index { admission.controllers.remove(at: index) }
        admission.controllers.insert(place, at: isByPerson ? 0 : index ?? admission.controllers.count)
        admission.controllers.removeLast(max(0, admission.controllers.count - Limits.controllers))
        if admission != membership.admission, let next = Membership(admission) {
            out.actions.append(.persistMembership(MembershipRecord(admission).encoded()))
            out.report(.controllersChanged(places: place.texts))
            core.standing = .member(next)
            core.endpoint.value.pin(admission.controllers.map(\.node))
        }
        return place.texts
    }

    /// The controller answers. Returns the callers to which the join is to be reported.
    mutating func takeMovers() -> [RequestID] {
        let waiting = movers.map(\.asker)
        movers = []
        return waiting
    }
}

extension ControllerAddress {
    /// Nothing leads there.
    var isNowhere: Bool { addresses.isEmpty && names.isEmpty }

    /// For people.
    var texts: [String] { names.map(\.description) + addresses.map(\.description) }

    /// The addresses of this place, then the others of an older one.
    func before(_ older: ControllerAddress) -> ControllerAddress {
        func merged<Value: Equatable>(_ new: [Value], _ old: [Value], _ limit: Int) -> [Value] {
            Array((new + old.filter { !new.contains($0) }).prefix(limit))
        }
        return ControllerAddress(
            node: node, addresses: merged(addresses, older.addresses, Limits.addressesPerPeer),
            tcpPorts: merged(tcpPorts, older.tcpPorts, Limits.tcpPorts),
            names: merged(names, older.names, Limits.namesPerController))
    }
}
