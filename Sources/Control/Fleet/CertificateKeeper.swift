import Base
import Mesh
import Wire

/// # A member's certificate
///
/// It is renewed over the control stream when two thirds of its life are over. It is renewed at once where the
/// configuration has another name, site or labels than the certificate.
struct CertificateKeeper: Sendable {
    /// When the renewal may be asked for again; `nil` before the first control stream.
    private var renewalAt: Instant?
    /// Why the controller did not put the configured name, site or labels into it.
    private(set) var problem: String?
    private var isEndReported = false

    /// Between two requests.
    private static let requestEvery = Interval.minutes(1)
    /// The longest wait. The wall clock may be set meanwhile.
    private static let longestWait = Interval.minutes(60)

    /// To be asked for only while a controller can be asked, as `service` does.
    var deadline: Deadline? { renewalAt.map { Deadline($0, "certificate") } }

    /// A control stream has opened.
    mutating func begin(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        renewalAt = now
        describe(core: &core, into: &out)
    }

    /// By the controller's time the certificate may be due.
    mutating func clockLearned(now: Instant) { renewalAt = renewalAt.map { min($0, now) } }

    mutating func service(core: inout AgentCore, now: Instant) {
        guard core.canLookUp, let membership = core.standing.membership, let due = renewalAt, due <= now else { return }
        let wait = membership.renewalTime - core.clock.wall(now)
        if wait <= .zero {
            core.send(.renewCertificate(nil))
            renewalAt = now + CertificateKeeper.requestEvery
        } else {
            renewalAt = now + min(wait, CertificateKeeper.longestWait)
        }
    }

    // MARK: - A new certificate

    mutating func apply(
        _ renewed: CertificateRenewed, _ membership: Membership, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) {
        do throws(CertificateFault) {
            _ = try core.verify(
                renewed.certificate, of: core.nodeID, authorities: membership.credentials.authorities,
                fleet: membership.certificate.fleet, now: now)
        } catch { return }
        guard let next = Membership(CertificateKeeper.admission(membership.admission, renewed)) else {
            core.counters.add(.certificatesRefused)
            return
        }
        // A request that came too early gets the certificate that there is: the next one waits.
        guard next.admission != membership.admission else {
            renewalAt = now + CertificateKeeper.requestEvery
            return
        }
        out.actions.append(.persistMembership(MembershipRecord(next.admission).encoded()))
        core.standing = .member(next)
        core.endpoint.value.pin(next.admission.controllers.map(\.node))
        core.endpoint.value.adopt(next.credentials)
        renewalAt = now
        if next.admission.certificate != membership.admission.certificate { isEndReported = false }
        let before = membership.certificate.description, after = next.certificate.description
        guard before != after else { return }
        // Peers judge by the certificate that they were shown.
        core.endpoint.value.rekeyAll()
        problem = nil
        out.report(.describedAs(after))
    }

    /// The admission with what has been renewed. Other known addresses of a controller are kept behind the new ones: the
    /// controller may not know how it is reached from here.
    private static func admission(_ known: Admission, _ renewed: CertificateRenewed) -> Admission {
        var admission = known
        admission.certificate = renewed.certificate
        admission.authorities = renewed.authorities
        admission.overlayNetwork = renewed.overlayNetwork ?? known.overlayNetwork
        guard !renewed.controllers.isEmpty else { return admission }
        admission.controllers = renewed.controllers.map { place in
            known.controllers.first { $0.node == place.node }.map { place.before($0) } ?? place
        }
        return admission
    }

    /// Once, when the last sixth of its life has begun: a controller renews it when a third is left.
    mutating func reportEnd(core: borrowing AgentCore, now: Instant, into out: inout AgentOutbox) {
        guard let certificate = core.standing.membership?.certificate, !isEndReported else { return }
        let life = certificate.notAfter - certificate.notBefore
        guard certificate.notAfter - core.clock.wall(now) < Interval(nanoseconds: life.nanoseconds / 6) else { return }
        isEndReported = true
        out.report(.certificateEnds(certificate.notAfter))
    }

    // MARK: - What the certificate states of this node

    /// The configuration was read again.
    mutating func reconfigure(_ changed: NodeDescription, core: inout AgentCore, into out: inout AgentOutbox) {
        if let name = changed.name { (core.configuration.name, core.configuration.isNameChosen) = (name, true) }
        core.configuration.site = changed.site
        core.configuration.labels = changed.labels
        describe(core: &core, into: &out)
    }

    mutating func rename(to name: String, core: inout AgentCore, into out: inout AgentOutbox) {
        (core.configuration.name, core.configuration.isNameChosen) = (name, true)
        describe(core: &core, into: &out)
    }

    /// Asks for a certificate with this node's configured name, site and labels, where the present one states others.
    private mutating func describe(core: inout AgentCore, into out: inout AgentOutbox) {
        guard case .member(let membership) = core.standing, core.uplink.link != nil else { return }
        let certificate = membership.certificate, configuration = core.configuration
        let isRenamed = configuration.isNameChosen && configuration.name != certificate.name
        guard isRenamed || configuration.site != certificate.site || configuration.labels != certificate.labels else {
            problem = nil
            return
        }
        let name = isRenamed ? configuration.name : nil
        let desired = NodeDescription(name: name, site: configuration.site, labels: configuration.labels)
        if let problem = desired.labelProblem { return refused("badLabel: \(problem)", into: &out) }
        core.send(.renewCertificate(desired))
    }

    /// The controller does not accept it: the fleet continues to use what the certificate states.
    mutating func refused(_ why: String, into out: inout AgentOutbox) {
        guard problem != why else { return }
        problem = why
        out.report(.descriptionRefused(why))
    }
}

extension Certificate {
    var description: NodeDescription { NodeDescription(name: name, site: site, labels: labels) }
}
