import Base
import Mesh
import Noise
import Wire

/// # Certificates that a controller issues
///
/// A member's certificate is renewed on request, when two thirds of its life are over or when the member needs another name,
/// site or labels. The controller also renews its own certificate.
struct NodeCertificates {
    private var ownRenewal: UnixTime

    /// `own`: the controller's certificate.
    init(own: Certificate) { ownRenewal = NodeCertificates.renewal(of: own) }

    /// Two thirds of its life are over.
    private static func renewal(of certificate: Certificate) -> UnixTime {
        certificate.notBefore + (certificate.notAfter - certificate.notBefore) * 2 / 3
    }

    // MARK: - The controller's own

    /// Not from the row of serials: it is made again at each start and never stored.
    static func own(
        _ node: NodeID, _ settings: ControllerSettings, _ overlay: OverlayAddresses, authority: borrowing Authority,
        wall: UnixTime
    ) -> SignedCertificate {
        authority.issue(
            0, to: node, name: settings.name, site: "", labels: [], roles: settings.roles, overlay4: overlay.own4,
            wall: wall)
    }

    mutating func renewOwn(overlay: OverlayAddresses, core: inout ControllerCore, now: Instant) {
        let wall = core.clock.wall(now)
        guard wall >= ownRenewal else { return }
        let own = NodeCertificates.own(
            core.nodeID, core.settings, overlay, authority: core.authority, wall: wall)
        core.endpoint.value.adopt(Credentials(certificate: own, authorities: [core.authority.verifyingKey]))
        ownRenewal = NodeCertificates.renewal(of: own.certificate)
    }

    // MARK: - Members

    /// A member asks for a new certificate. `requested`: with another description.
    func renew(
        _ slot: Int, _ requested: NodeDescription?, overlay: OverlayAddresses, core: inout ControllerCore,
        now: Instant, into out: inout ControllerOutbox
    ) {
        let old = core.registry[slot].certificate
        var next = old.description
        if let requested {
            next = requested
            next.name = requested.name ?? old.name
        }
        if next != old.description {
            if let (refusal, text) = NodeCertificates.objection(to: next, of: old.node, core.registry) {
                core.send(.certificateRefused(refusal, text: text), to: slot)
                out.persist([core.record(.nodeRefused, "keeps its certificate: \(text)", slot: slot, now: now)])
                return
            }
            reissue(slot, as: next, overlay: overlay, core: &core, now: now, into: &out)
        } else if core.clock.wall(now) >= NodeCertificates.renewal(of: old) {
            // A request that comes too early, or twice, gets the certificate that there is.
            reissue(slot, as: next, overlay: overlay, core: &core, now: now, into: &out)
        }
        send(to: slot, overlay: overlay, core: &core)
    }

    /// Makes a member's next certificate. It has an overlay address if there is one.
    private func reissue(
        _ slot: Int, as description: NodeDescription, overlay: OverlayAddresses, core: inout ControllerCore,
        now: Instant, into out: inout ControllerOutbox
    ) {
        let old = core.registry[slot].certificate
        let overlay4 = old.overlay4.isUnspecified ? overlay.next(core: &core) : old.overlay4
        var described = description
        described.name = description.name ?? old.name
        var next = core.registry[slot].record
        next.certificate = core.issue(to: old.node, described, roles: old.roles, overlay4: overlay4, now: now)
        _ = core.registry.add(next)
        var changes: [StoreChange] = [.counters(core.counters), .node(next)]
        if description != old.description {
            let text = description.change(from: old.description)
            changes.append(core.record(.nodeChanged, text, slot: slot, now: now))
        }
        let text = "until \(core.registry[slot].certificate.notAfter)"
        changes.append(core.record(.certificateRenewed, text, slot: slot, now: now))
        out.persist(changes)
    }

    /// A member without an overlay address in its certificate is given one when it connects. It enrolled before there
    /// were addresses, or while the network was full. `shown` is what it came with; the last answer may have been lost.
    func giveOverlayAddress(
        to slot: Int, shown: Certificate?, overlay: OverlayAddresses, core: inout ControllerCore, now: Instant,
        into out: inout ControllerOutbox
    ) {
        guard let shown, shown.overlay4.isUnspecified else { return }
        let known = core.registry[slot].certificate
        if known.overlay4.isUnspecified {
            guard overlay.hasFree(core.counters) else { return }
            reissue(slot, as: known.description, overlay: overlay, core: &core, now: now, into: &out)
        }
        send(to: slot, overlay: overlay, core: &core)
    }

    private func send(to slot: Int, overlay: OverlayAddresses, core: inout ControllerCore) {
        let address = core.address
        let renewed = CertificateRenewed(
            certificate: core.registry[slot].record.certificate.encoded(),
            authorities: [core.authority.verifyingKey.bytes], overlayNetwork: overlay.network,
            controllers: address.isNowhere ? [] : [address])
        core.send(.certificateRenewed(renewed), to: slot)
    }

    /// Why a node cannot be called and labelled so.
    static func objection(
        to description: NodeDescription, of node: NodeID, _ registry: Registry
    ) -> (refusal: EnrolRefusal, text: String)? {
        let name = description.name ?? ""
        guard WorkerSpec.isName(name) else {
            return (.badName, "name '\(name.prefix(63))': \(EnrolRefusal.badName.text)")
        }
        guard description.site.isEmpty || WorkerSpec.isName(description.site) else {
            return (.badName, "site '\(description.site.prefix(63))': \(EnrolRefusal.badName.text)")
        }
        if let problem = description.labelProblem { return (.badLabel, problem) }
        if let holder = registry.slot(named: name), registry[holder].record.node != node {
            return (.nameTaken, "name '\(name)': \(EnrolRefusal.nameTaken.text)")
        }
        return nil
    }
}
