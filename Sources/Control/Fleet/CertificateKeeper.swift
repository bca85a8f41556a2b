import Base
import Mesh
import Wire

// The certificate's renewal, and the name, site and labels in it.

extension Agent {
    mutating func apply(
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
        // What else is known of a place stays behind it: the controller may not know how it is seen from here.
        if !renewed.controllers.isEmpty {
            let known = admission.controllers
            admission.controllers = renewed.controllers.map { place in
                known.first { $0.node == place.node }.map { place.before($0) } ?? place
            }
        }
        guard let next = Membership(admission) else {
            counters.certificatesRefused += 1
            return
        }
        // A request that came too early gets the certificate that there is: the next one waits.
        guard next.admission != membership.admission else {
            renewalAt = now + .minutes(1)
            return
        }
        out.actions.append(.persistMembership(MembershipRecord(next.admission).encoded()))
        standing = .member(next)
        endpoint.pin(next.admission.controllers.map(\.node))
        endpoint.adopt(next.credentials)
        renewalAt = now
        if admission.certificate != membership.admission.certificate { certificateState.isEndReported = false }
        let before = membership.certificate.description, after = next.certificate.description
        guard before != after else { return }
        // Peers judge by the certificate that they were shown.
        endpoint.rekeyAll(now: now)
        certificateState.problem = nil
        out.actions.append(.notice(.describedAs(after)))
    }

    // MARK: - What the certificate says of this node

    /// The configuration was read again.
    mutating func reconfigure(_ changed: NodeDescription, into out: inout AgentOutbox) {
        if let name = changed.name { (configuration.name, configuration.isNameChosen) = (name, true) }
        configuration.site = changed.site
        configuration.labels = changed.labels
        describe(into: &out)
    }

    mutating func reconfigure(name: String, into out: inout AgentOutbox) {
        (configuration.name, configuration.isNameChosen) = (name, true)
        describe(into: &out)
    }

    /// Asks for a certificate that says what this node is configured with, where it says something else.
    mutating func describe(into out: inout AgentOutbox) {
        guard case .member(let membership) = standing, uplink.link != nil else { return }
        let certificate = membership.certificate
        let isRenamed = configuration.isNameChosen && configuration.name != certificate.name
        guard isRenamed || configuration.site != certificate.site || configuration.labels != certificate.labels else {
            certificateState.problem = nil
            return
        }
        let name = isRenamed ? configuration.name : nil
        let wanted = NodeDescription(name: name, site: configuration.site, labels: configuration.labels)
        if let problem = wanted.labelProblem { return descriptionRefused("badLabel: \(problem)", into: &out) }
        send(.renewCertificate(wanted))
    }

    /// The controller does not accept it: the fleet goes on with what the certificate says.
    mutating func descriptionRefused(_ why: String, into out: inout AgentOutbox) {
        guard certificateState.problem != why else { return }
        certificateState.problem = why
        out.actions.append(.notice(.descriptionRefused(why)))
    }

    /// Once, when the last sixth of its life has begun: a controller renews it when a third is left.
    mutating func reportCertificateEnd(now: Instant, into out: inout AgentOutbox) {
        guard let certificate = standing.membership?.certificate, !certificateState.isEndReported else { return }
        let life = certificate.notAfter - certificate.notBefore
        guard certificate.notAfter - clock.wall(now) < Interval(nanoseconds: life.nanoseconds / 6) else { return }
        certificateState.isEndReported = true
        out.actions.append(.notice(.certificateEnds(certificate.notAfter)))
    }
}

/// What is known of the certificate besides itself.
struct CertificateState: Sendable {
    /// Why the controller did not put the configured name, site or labels into it.
    var problem: String?
    var isEndReported = false
}

extension Certificate {
    var description: NodeDescription { NodeDescription(name: name, site: site, labels: labels) }
}
