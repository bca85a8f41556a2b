import Base
import Mesh
import Noise
import Wire

// What the controller says, and how a node becomes a member.

extension Agent {
    mutating func handle(_ message: ControlMessage, now: Instant, into out: inout AgentOutbox) {
        switch (message, standing) {
        case (.enrolReply(let reply), .enrolling(let enrolment)):
            took(reply, enrolment, now: now, into: &out)
        case (.desired(let desired), .member): took(desired, now: now, into: &out)
        case (.check(let check), .member):
            out.actions.append(.check(operation: check.operation, check.worker, check.spec))
        case (.readLog(let request), .member): read(request, into: &out)
        case (.certificateRenewed(let renewed), .member(let membership)):
            took(renewed, membership, now: now, into: &out)
        case (.relays(let relays), .member(let membership)): use(relays, membership, now: now, into: &out)
        case (.lookUpReply(let reply), .member(let membership)):
            took(reply, membership, now: now, into: &out)
        case (.enrol, _), (.register, _), (.lookUp, _), (.report, _), (.checkReply, _), (.logChunk, _), (.goodbye, _),
            (.renewCertificate, _), (.enrolReply, _), (.desired, _), (.check, _), (.readLog, _), (.lookUpReply, _),
            (.certificateRenewed, _), (.relays, _):
            counters.messagesUnexpected += 1
        }
    }

    private mutating func took(_ desired: Desired, now: Instant, into out: inout AgentOutbox) {
        var actions: [SupervisorAction] = []
        switch supervisor.desired(desired, now: now, into: &actions) {
        case .applied: counters.desiredApplied += 1
        case .known: counters.desiredKnown += 1
        case .otherBase: counters.desiredOfOtherBase += 1
        case .notReady: counters.desiredTooEarly += 1
        }
        took(actions, now: now, into: &out)
    }

    private mutating func read(_ request: ReadLog, into out: inout AgentOutbox) {
        guard let status = supervisor.newest(of: request.worker) else {
            send(
                .logChunk(
                    LogChunk(
                        operation: request.operation, worker: request.worker, offset: 0, bytes: [], nextOffset: 0,
                        isFinal: true, problem: "there is no worker '\(request.worker)' on this node")))
            return
        }
        let limit = Int(max(1, min(request.limit, Int64(Limits.logChunkBytes))))
        out.actions.append(
            .readLog(operation: request.operation, status.worker, offset: request.offset, limit: limit))
    }

    // MARK: - Enrolment

    /// `asker` waits for the outcome; without one the token is tried until it is accepted or refused.
    mutating func join(
        _ text: String, name: String?, asker: RequestID?, now: Instant, into out: inout AgentOutbox
    ) {
        let token: TokenText
        do throws(TokenError) {
            token = try TokenText(text)
        } catch {
            counters.enrolmentsRefused += 1
            if let asker { refuse(asker, .invalid, error.description, field: "token", into: &out) }
            return
        }
        let name = name ?? configuration.name
        switch standing {
        case .member(let membership):
            if let asker {
                refuse(
                    asker, .conflict,
                    "this node is a member of fleet \(membership.certificate.fleet.hex) already", into: &out)
            }
            return
        case .enrolling(var enrolment) where enrolment.token == token && enrolment.name == name:
            if let asker, enrolment.askers.count < PingBoard.limit { enrolment.askers.append(asker) }
            standing = .enrolling(enrolment)
            return
        case .enrolling(let other):
            giveUp(other, .conflict, "another token was given", now: now, into: &out)
        case .unenrolled: break
        }
        guard token.controller != nodeID, !token.addresses.isEmpty else {
            if let asker {
                refuse(asker, .invalid, "the token names no controller to go to", field: "token", into: &out)
            }
            return
        }
        standing = .enrolling(
            Enrolment(
                token: token, name: name, askers: asker.map { [$0] } ?? [],
                giveUpAt: asker == nil ? nil : now + Enrolment.patience))
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
                    addresses: Array(configuration.addresses.prefix(Limits.addressesPerPeer)))))
    }

    mutating func serviceEnrolment(now: Instant, into out: inout AgentOutbox) {
        guard case .enrolling(var enrolment) = standing else { return }
        guard let giveUpAt = enrolment.giveUpAt, giveUpAt <= now else {
            guard let answerBy = enrolment.answerBy, answerBy <= now else { return }
            enrolment.answerBy = nil
            standing = .enrolling(enrolment)
            retryUplink(now: now)
            return endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        }
        let places = enrolment.token.addresses.map(\.description).joined(separator: ", ")
        giveUp(enrolment, .timeout, "no controller answers at \(places)", now: now, into: &out)
    }

    private mutating func giveUp(
        _ enrolment: Enrolment, _ code: APIError.Code, _ why: String, now: Instant, into out: inout AgentOutbox
    ) {
        counters.enrolmentsRefused += 1
        standing = .unenrolled
        uplink = .idle
        endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        for asker in enrolment.askers { refuse(asker, code, why, into: &out) }
    }

    private mutating func took(
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
            let field: String? = reason == .nameTaken || reason == .badName ? "name" : "token"
            let askers = enrolment.askers
            var silent = enrolment
            silent.askers = []
            giveUp(silent, .refused, text, now: now, into: &out)
            for asker in askers { refuse(asker, .refused, "\(reason.rawValue): \(text)", field: field, into: &out) }
        case .admitted(let admission):
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
        endpoint.adopt(membership.credentials)
        // The controller knows this session as a stranger's; the next one shows the certificate.
        backoff.reset()
        uplink = .waiting(until: now)
        endpoint.disconnect(enrolment.token.controller, now: now, into: &out.mesh)
        for asker in enrolment.askers { out.actions.append(.reply(asker, .success(.joined(status(now: now))))) }
    }

    private mutating func took(
        _ renewed: CertificateRenewed, _ membership: Membership, now: Instant, into out: inout AgentOutbox
    ) {
        let check = CertificateCheck(
            authorities: membership.credentials.authorities, fleet: membership.certificate.fleet,
            slack: configuration.mesh.clockSlack)
        do throws(CertificateFault) {
            _ = try check.check(renewed.certificate, of: nodeID, wall: clock.wall(now))
        } catch {
            counters.certificatesRefused += 1
            return
        }
        var admission = membership.admission
        admission.certificate = renewed.certificate
        admission.authorities = renewed.authorities
        admission.overlayNetwork = renewed.overlayNetwork ?? admission.overlayNetwork
        guard let next = Membership(admission) else {
            counters.certificatesRefused += 1
            return
        }
        out.actions.append(.persistMembership(MembershipRecord(admission).encoded()))
        standing = .member(next)
        endpoint.adopt(next.credentials)
        renewalAt = now
    }
}
