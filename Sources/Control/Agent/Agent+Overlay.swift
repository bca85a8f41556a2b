import Base
import Mesh
import Wire

// A packet waits for an overlay address: who has it, and a session with that node.

extension Agent {
    /// Where this node is in the overlay; `nil` outside of a fleet. Changes with `persistMembership`.
    package var overlay: OverlayPlace? { standing.membership?.overlay }

    /// Whether a controller can be asked.
    var canLookUp: Bool {
        guard case .member = standing, uplink.link != nil, departure == .none else { return false }
        return true
    }

    mutating func want(_ address: IPAddress, now: Instant, into out: inout AgentOutbox) {
        guard let place = overlay, departure == .none else {
            return out.actions.append(.overlayUnreachable(address, .noController))
        }
        guard !place.contains(address) else { return out.actions.append(.overlayUnreachable(address, .refused)) }
        let network = address.isIPv4 ? place.network4 : place.network6
        guard network?.contains(address) ?? true else {
            return out.actions.append(.overlayUnreachable(address, .noSuchAddress))
        }
        if case .failed(let failure) = wishes.want(address, now: now) {
            out.actions.append(.overlayUnreachable(address, failure))
        }
    }

    mutating func serviceOverlay(now: Instant, into out: inout AgentOutbox) {
        guard !wishes.isEmpty else { return }
        let (ask, over) = wishes.tick(canAsk: canLookUp, now: now)
        for (address, failure) in over { out.actions.append(.overlayUnreachable(address, failure)) }
        for address in ask { wishes.asked(address, isSent: send(.lookUp(.address(address))), now: now) }
    }

    private mutating func overlayFound(
        _ address: IPAddress, _ reply: LookUpReply, _ found: Result<Certificate, OverlayFailure>, now: Instant,
        into out: inout AgentOutbox
    ) {
        switch found {
        case .failure(let failure): unreachable(address, failure, now: now, into: &out)
        case .success(let certificate) where certificate.node == nodeID:
            unreachable(address, .refused, now: now, into: &out)
        case .success(let certificate):
            wishes.connecting(address, to: certificate.node)
            if let shown = endpoint.certificate(of: certificate.node), endpoint.isConnected(certificate.node) {
                overlayConnected(certificate.node, shown, now: now, into: &out)
            } else if reply.addresses.isEmpty, reply.relays.isEmpty {
                unreachable(address, .noAnswer, now: now, into: &out)
            } else {
                endpoint.connect(
                    to: certificate.node, at: underlay(reply, certificate), through: reply.relays, now: now,
                    into: &out.mesh)
            }
        }
    }

    /// A session is there; who waits for this node's addresses has waited enough.
    mutating func overlayConnected(
        _ node: NodeID, _ certificate: Certificate, now: Instant, into out: inout AgentOutbox
    ) {
        guard !wishes.isEmpty else { return }
        for address in certificate.overlayAddresses where wishes.reached(address) {
            out.actions.append(.overlayReachable(address))
        }
        // The node still shows a certificate from before it had the address, and packets go by what is shown.
        for address in wishes.waiting(for: node) { unreachable(address, .refused, now: now, into: &out) }
    }

    mutating func overlayFailed(
        _ node: NodeID, _ failure: ConnectFailure, now: Instant, into out: inout AgentOutbox
    ) {
        for address in wishes.waiting(for: node) {
            switch failure {
            case .timeout:
                wishes.failed(address, .noAnswer, isAnswer: false, now: now)
                out.actions.append(.overlayUnreachable(address, .noAnswer))
            case .certificate, .tooManySessions: unreachable(address, .refused, now: now, into: &out)
            }
        }
    }

    /// Somebody said no, and will say it again if asked again.
    private mutating func unreachable(
        _ address: IPAddress, _ failure: OverlayFailure, now: Instant, into out: inout AgentOutbox
    ) {
        wishes.failed(address, failure, isAnswer: true, now: now)
        out.actions.append(.overlayUnreachable(address, failure))
    }

    // MARK: - Answers

    /// The directory's answer. A question that was put twice is answered twice, and the second answer is nobody's.
    mutating func took(_ reply: LookUpReply, _ membership: Membership, now: Instant, into out: inout AgentOutbox) {
        tookDetour(reply, now: now, into: &out)
        let isPinged = pings.waits(for: reply.asked) || benches.waits(for: reply.asked)
        var wanted: IPAddress?
        if case .address(let address) = reply.asked, wishes.isAsking(address) { wanted = address }
        guard isPinged || wanted != nil else { return }
        let found = owner(in: reply, membership, now: now)
        if let wanted { overlayFound(wanted, reply, found, now: now, into: &out) }
        if isPinged { personFound(reply, found, now: now, into: &out) }
    }

    /// The owner's certificate, if the answer proves that it is the owner of what was asked for.
    private mutating func owner(
        in reply: LookUpReply, _ membership: Membership, now: Instant
    ) -> Result<Certificate, OverlayFailure> {
        guard let node = reply.node, let bytes = reply.certificate else { return .failure(.noSuchAddress) }
        let check = CertificateCheck(
            authorities: membership.credentials.authorities, fleet: membership.certificate.fleet,
            slack: configuration.mesh.clockSlack)
        let certificate: Certificate
        do throws(CertificateFault) {
            certificate = try check.check(bytes, of: node, wall: clock.wall(now))
        } catch {
            counters.certificatesRefused += 1
            return .failure(.refused)
        }
        let isRight =
            switch reply.asked {
            case .node(let asked): asked == node
            case .address(let address): certificate.overlayAddresses.contains(address)
            case .name(let name): certificate.name == name
            }
        guard isRight else {
            counters.certificatesRefused += 1
            return .failure(.refused)
        }
        return .success(certificate)
    }
}
