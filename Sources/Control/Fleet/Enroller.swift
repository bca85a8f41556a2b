import Base
import Mesh
import Noise
import Wire

// How a node becomes a member of a fleet, and what a token is good for when it is one.

extension Agent {
    /// `asker` waits for the outcome; without one the token is tried until it is accepted or refused.
    mutating func join(
        _ text: String, name: String?, asker: RequestID?, now: Instant, into out: inout AgentOutbox
    ) {
        let token: TokenText
        do throws(TokenError) {
            token = try TokenText(text)
        } catch {
            return refuseJoin(.invalid, error.description, asker, into: &out)
        }
        switch standing {
        case .member(let membership):
            return move(to: token, membership, name: name, asker, now: now, into: &out)
        case .unenrolled, .enrolling: break
        }
        let name = name ?? configuration.name
        switch standing {
        case .enrolling(var enrolment) where enrolment.token == token && enrolment.name == name:
            if let asker, enrolment.askers.count < PingBoard.limit { enrolment.askers.append(asker) }
            standing = .enrolling(enrolment)
            return
        case .enrolling(let other):
            giveUp(other, .conflict, "another token was given", now: now, into: &out)
        case .unenrolled, .member: break
        }
        guard token.controller != nodeID, !token.place.isNowhere else {
            return refuseJoin(
                .invalid, "the token holds no address of a controller; make one with a controller that has --advertise",
                asker, into: &out)
        }
        joinProblem = nil
        standing = .enrolling(
            Enrolment(
                token: token, name: name, askers: asker.map { [$0] } ?? [],
                giveUpAt: asker == nil ? nil : now + Enrolment.patience,
                reportAt: asker == nil ? now + Enrolment.reportAfter : nil))
        endpoint.pin([token.controller])
        endpoint.trust([token.authority])
        backoff.reset()
        uplink = .waiting(until: now)
    }

    mutating func sendEnrol(_ enrolment: Enrolment, _ session: PeerSession, now: Instant) {
        var asked = enrolment
        asked.answerBy = now + Enrolment.answerPatience
        standing = .enrolling(asked)
        let proof = TokenText.proof(secret: enrolment.token.secret, handshakeHash: session.handshakeHash)
        send(
            .enrol(
                Enrol(
                    tokenID: enrolment.token.id, proof: proof, name: enrolment.name, labels: configuration.labels,
                    site: configuration.site,
                    addresses: Array(configuration.addresses.prefix(Limits.addressesPerPeer)),
                    clock: clock.own(now))))
    }

    mutating func serviceEnrolment(now: Instant, into out: inout AgentOutbox) {
        guard case .enrolling(var enrolment) = standing else { return }
        if let reportAt = enrolment.reportAt, reportAt <= now {
            enrolment.reportAt = nil
            standing = .enrolling(enrolment)
            let places = enrolment.token.place.texts
            joinProblem = "no controller answers at \(places.joined(separator: ", ")); the agent goes on trying"
            out.actions.append(.notice(.joinWaiting(places: places)))
        }
        guard let giveUpAt = enrolment.giveUpAt, giveUpAt <= now else {
            guard let answerBy = enrolment.answerBy, answerBy <= now else { return }
            enrolment.answerBy = nil
            standing = .enrolling(enrolment)
            retryUplink(now: now)
            return endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        }
        let places = enrolment.token.place.texts.joined(separator: ", ")
        giveUp(enrolment, .timeout, "no controller answers at \(places)", now: now, into: &out)
    }

    private mutating func giveUp(
        _ enrolment: Enrolment, _ code: APIError.Code, _ why: String, now: Instant, into out: inout AgentOutbox
    ) {
        counters.enrolmentsRefused += 1
        standing = .unenrolled
        uplink = .idle
        joinProblem = why
        out.actions.append(.notice(.joinRefused(why)))
        endpoint.pin([])
        endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        for asker in enrolment.askers { refuse(asker, code, why, into: &out) }
    }

    mutating func apply(
        _ reply: EnrolReply, _ enrolment: Enrolment, now: Instant, into out: inout AgentOutbox
    ) {
        switch reply {
        case .refused(.wrongProof, _) where enrolment.wrongProofs + 1 < Enrolment.wrongProofLimit:
            var again = enrolment
            again.wrongProofs += 1
            again.answerBy = nil
            standing = .enrolling(again)
            retryUplink(now: now)
            endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        case .refused(let reason, let text):
            let (field, remedy) =
                switch reason {
                case .nameTaken, .badName: ("name", "; choose another with --name, or another site")
                case .badLabel: ("label", "; see 'label' in agent.yaml")
                case .unknownToken, .wrongProof, .expired, .usedUp: ("token", "")
                }
            let askers = enrolment.askers
            var silent = enrolment
            silent.askers = []
            giveUp(silent, .refused, "\(reason.rawValue): \(text)\(remedy)", now: now, into: &out)
            for asker in askers {
                refuse(asker, .refused, "\(reason.rawValue): \(text)\(remedy)", field: field, into: &out)
            }
        case .admitted(let admission):
            if let reading = admission.clock { learn(reading, now: now, into: &out) }
            let check = CertificateCheck(
                authorities: [enrolment.token.authority], fleet: enrolment.token.fleet,
                slack: configuration.mesh.clockSlack)
            do throws(CertificateFault) {
                _ = try check.check(admission.certificate, of: nodeID, wall: clock.wall(now))
            } catch {
                counters.certificatesRefused += 1
                return giveUp(enrolment, .refused, "the controller's certificate is \(error)", now: now, into: &out)
            }
            guard let membership = Membership(admission) else {
                counters.certificatesRefused += 1
                return giveUp(enrolment, .refused, "the controller's admission cannot be read", now: now, into: &out)
            }
            admit(membership, enrolment, now: now, into: &out)
        }
    }

    private mutating func admit(
        _ membership: Membership, _ enrolment: Enrolment, now: Instant, into out: inout AgentOutbox
    ) {
        out.actions.append(.persistMembership(MembershipRecord(membership.admission).encoded()))
        standing = .member(membership)
        joinProblem = nil
        memberSince = now
        // The name that was asked for counts until the next start, which follows the configuration again.
        (configuration.name, configuration.isNameChosen) = (membership.certificate.name, true)
        out.actions.append(.notice(.joined(name: membership.certificate.name, fleet: membership.certificate.fleet)))
        endpoint.pin(membership.admission.controllers.map(\.node))
        endpoint.adopt(membership.credentials)
        // The controller knows this session as a stranger's; the next one shows the certificate.
        backoff.reset()
        uplink = .waiting(until: now)
        endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        for asker in enrolment.askers { out.actions.append(.reply(asker, .success(.joined(status(now: now))))) }
    }

    /// A member is not in need of the token that its configuration names, and may have removed it.
    mutating func noToken(_ why: String, into out: inout AgentOutbox) {
        guard standing.membership == nil else { return }
        refuseJoin(.invalid, why, nil, into: &out)
    }

    /// A token leads to nothing. Somebody who waits is told; the log and the status say it in any case.
    private mutating func refuseJoin(
        _ code: APIError.Code, _ why: String, _ asker: RequestID?, into out: inout AgentOutbox
    ) {
        counters.enrolmentsRefused += 1
        out.actions.append(.notice(.joinRefused(why)))
        if case .unenrolled = standing { joinProblem = why }
        if let asker { refuse(asker, code, why, field: "token", into: &out) }
    }

    // MARK: - A member and a newer token

    private static let moverLimit = 16

    /// A token of this node's own fleet says where the controllers are now. It is not used up: the node is a member already.
    private mutating func move(
        to token: TokenText, _ membership: Membership, name: String?, _ asker: RequestID?, now: Instant,
        into out: inout AgentOutbox
    ) {
        let fleet = membership.certificate.fleet
        guard token.fleet == fleet else {
            let why = "this node is a member of fleet \(fleet.hex), and the token is of fleet \(token.fleet.hex)"
            return refuseJoin(.conflict, why, asker, into: &out)
        }
        guard membership.credentials.authorities.contains(token.authority) else {
            return refuseJoin(.refused, "the token names a key that does not sign for this fleet", asker, into: &out)
        }
        guard token.controller != nodeID else {
            return refuseJoin(.invalid, "the token names this node as its controller", asker, into: &out)
        }
        if let name { reconfigure(name: name, into: &out) }
        var admission = membership.admission
        let index = admission.controllers.firstIndex { $0.node == token.controller }
        let known = index.map { admission.controllers[$0] }
        // A person has a reason to give a token now. The configuration's may be old: it adds to what is known, at the end.
        let place = known.map { asker == nil ? $0.before(token.place) : token.place.before($0) } ?? token.place
        if let index { admission.controllers.remove(at: index) }
        admission.controllers.insert(place, at: asker == nil ? index ?? admission.controllers.count : 0)
        admission.controllers.removeLast(max(0, admission.controllers.count - Limits.controllers))
        if admission != membership.admission, let next = Membership(admission) {
            out.actions.append(.persistMembership(MembershipRecord(admission).encoded()))
            out.actions.append(.notice(.controllersChanged(places: place.texts)))
            standing = .member(next)
            endpoint.pin(admission.controllers.map(\.node))
        }
        if uplink.session != nil, !watch.isSilent(for: ControllerWatch.doubt, now: now) {
            if let asker { reply(asker, .joined(status(now: now)), into: &out) }
            return
        }
        if let asker {
            guard movers.count < Agent.moverLimit else {
                return refuse(asker, .limit, "too many requests to join wait for the controller", into: &out)
            }
            movers.append((asker, now + Enrolment.patience, place.texts))
        }
        restartUplink(now: now, into: &out)
    }

    /// The controller answers: that was what they waited for.
    mutating func answerMovers(now: Instant, into out: inout AgentOutbox) {
        guard !movers.isEmpty else { return }
        let waiting = movers
        movers = []
        for mover in waiting { reply(mover.asker, .joined(status(now: now)), into: &out) }
    }

    mutating func serviceMovers(now: Instant, into out: inout AgentOutbox) {
        for mover in movers where mover.until <= now {
            let why = "no controller answers at \(mover.places.joined(separator: ", ")); the agent goes on trying"
            refuse(mover.asker, .timeout, why, into: &out)
        }
        movers.removeAll { $0.until <= now }
    }
}

extension ControllerAddress {
    /// Nothing leads there.
    var isNowhere: Bool { addresses.isEmpty && names.isEmpty }

    /// For people.
    var texts: [String] { names.map(\.description) + addresses.map(\.description) }

    /// All of this place, then what an older account of it has more.
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
