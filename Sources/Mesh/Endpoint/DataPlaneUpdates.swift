import Base
import Noise
import Wire

/// # Changes for the data plane
///
/// The data plane has its own keys, from the same handshakes, under the same indices: a keypair begins and ends for both at
/// once. Changes are collected here and go out with the next `flush`, in this order. Without a data plane there are none.
struct DataPlaneUpdates {
    let isOn: Bool
    private var changes: [DataPlaneChange] = []
    /// This node's own certificate; `nil`: there is none yet.
    private var own: Certificate?
    /// What peers of other applications may reach on this node.
    private var rules: [PolicyRule]

    init(_ configuration: MeshConfiguration) {
        isOn = configuration.hasDataPlane
        rules = configuration.policy
    }

    mutating func append(_ change: DataPlaneChange) { if isOn { changes.append(change) } }

    mutating func flush(into out: inout MeshOutbox) {
        guard !changes.isEmpty else { return }
        out.dataPlane.append(contentsOf: changes)
        changes.removeAll()
    }

    /// This node's overlay addresses are those of this certificate.
    mutating func adopt(_ certificate: Certificate) {
        own = certificate
        append(.local(OverlayLocal(address4: certificate.overlay4Given, address6: certificate.overlay6)))
    }

    /// Lets the data plane open what the peer seals with the keys of `keypair`, which keeps the other key until it is used.
    mutating func install(_ keypair: Keypair, of peer: Peer, from remote: PathAddress, isConfirmed: Bool) {
        guard let keys = keypair.dataKeys.take(), let own, let certificate = keypair.hello.certificate else { return }
        let receive = keys.receive.copyKey()
        keypair.dataKeys = consume keys
        append(
            .install(
                RxEntry(
                    index: keypair.localIndex, peer: peer.slot, key: receive,
                    address4: certificate.overlay4Given, address6: certificate.overlay6,
                    policy: PeerPolicy(own: own, peer: certificate, rules: rules), remote: remote,
                    isConfirmed: isConfirmed, expiresAt: keypair.createdAt + MeshConfiguration.rejectAfter)))
    }

    /// Packets to the peer are sealed with the keys of `keypair` from now on.
    mutating func route(_ keypair: Keypair, of peer: Peer) {
        guard let keys = keypair.dataKeys.take(), let own, let certificate = keypair.hello.certificate,
            let remote = peer.paths.primary
        else { return }
        let policy = PeerPolicy(own: own, peer: certificate, rules: rules)
        let expiresAt = keypair.createdAt + MeshConfiguration.rejectAfter
        let bytes = peer.link.route(to: remote, second: peer.paths.second, until: expiresAt)
        append(
            .route(
                TxRoute(
                    peer: peer.slot, remoteIndex: keypair.remoteIndex, key: keys.send.copyKey(),
                    address4: certificate.overlay4Given, address6: certificate.overlay6, remote: remote,
                    datagramBytes: bytes, tracksFlows: !policy.allowsEverything, expiresAt: expiresAt)))
        measure(peer.slot, at: remote)
    }

    /// Asks for the path MTU; not for TCP, since a connection carries datagrams of any size.
    mutating func measure(_ slot: Int, at path: PathAddress) {
        if !path.isTCP { append(.measure(peer: slot, path.remote)) }
    }

    /// The peer's paths may have changed.
    mutating func follow(_ peer: Peer) {
        for change in peer.link.changes(primary: peer.paths.primary, second: peer.paths.second) { append(change) }
    }

    /// The largest datagram on the peer's path may have changed.
    mutating func resize(_ peer: Peer) {
        for change in peer.link.sizeChange(second: peer.paths.second) { append(change) }
    }

    /// Replaces the rules, for sessions that are open as well.
    mutating func setRules(_ rules: [PolicyRule], of peers: PeerTable) {
        guard rules != self.rules else { return }
        self.rules = rules
        guard isOn, let own else { return }
        for peer in peers {
            for keypair in peer.session.keypairs {
                guard let certificate = keypair.hello.certificate else { continue }
                let policy = PeerPolicy(own: own, peer: certificate, rules: rules)
                append(.restrict(index: keypair.localIndex, policy))
                if keypair === peer.session.current { append(.track(peer: peer.slot, !policy.allowsEverything)) }
            }
        }
    }

    /// Nothing is sent to the peer, or received from it, for a while.
    mutating func rest(_ peer: Peer) {
        let indices = [peer.session.current, peer.session.previous].compactMap { $0?.localIndex }
        append(.rest(peer: peer.slot, indices: indices))
    }
}
