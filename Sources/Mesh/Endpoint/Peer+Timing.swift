import Base
import Noise
import Wire

// When keys are renewed, and when a session is over.

extension Peer {
    /// Why the session is over by now; `nil`: it is not.
    func endOfConnection(_ configuration: MeshConfiguration, now: Instant) -> DisconnectReason? {
        if certificate == nil, now - createdAt >= Limits.anonymousSessionLife, !isRequested { return .anonymousExpired }
        if let since = liveness.unansweredSince, now - since >= configuration.unansweredBeforeTimeout {
            return .timeout
        }
        if session.current != nil || session.previous != nil { return nil }
        guard let initiation = session.initiation else { return .idle }
        return now - initiation.startedAt >= MeshConfiguration.connectTimeout ? .idle : nil
    }

    /// There is no session, and the wait for one is over.
    func hasGivenUp(now: Instant) -> Bool {
        if let requestedAt { return now - requestedAt >= MeshConfiguration.connectTimeout }
        return session.pending.isEmpty && session.initiation == nil
    }

    func needsHandshake(_ configuration: MeshConfiguration, now: Instant) -> Bool {
        guard session.initiation == nil else { return false }
        guard let current = session.current else { return isRequested }
        if let since = liveness.unansweredSince, now - since >= liveness.patience { return true }
        return rekeyTime(current, configuration).map { $0 <= now } ?? false
    }

    /// When new keys are due. The responder waits a quarter longer, so that only one side makes them, unless that side is
    /// gone. A session in which nothing was sent under the current keys is left to expire.
    private func rekeyTime(_ keypair: Keypair, _ configuration: MeshConfiguration) -> Instant? {
        let wait =
            keypair.isInitiator ? configuration.rekeyAfter : configuration.rekeyAfter + configuration.rekeyAfter / 4
        if needsRekey || keypair.keys.needsRekey { return keypair.createdAt }
        return liveness.isActive(since: keypair.createdAt + Peer.confirmationTime) ? keypair.createdAt + wait : nil
    }

    /// What is sent so soon after new keys may be no more than their confirmation.
    private static let confirmationTime = Interval.seconds(1)

    /// The next time at which something is due. `traversal`: the deadline of `Traversal` for the peer.
    func deadline(traversal: Instant?, _ configuration: MeshConfiguration) -> Instant? {
        var times = [streams.deadline?.at, session.expiry(life: MeshConfiguration.rejectAfter)]
        if let initiation = session.initiation {
            times.append(initiation.nextAt)
            if session.current == nil, session.previous == nil {
                times.append(initiation.startedAt + MeshConfiguration.connectTimeout)
            }
        } else if let current = session.current {
            times.append(rekeyTime(current, configuration))
            times.append(liveness.unansweredSince.map { $0 + liveness.patience })
        }
        if isConnected {
            times.append(liveness.unansweredSince.map { $0 + configuration.unansweredBeforeTimeout })
            if isAnonymous, !isRequested { times.append(createdAt + Limits.anonymousSessionLife) }
        } else {
            times.append(requestedAt.map { $0 + MeshConfiguration.connectTimeout })
        }
        // Without keys or a path nothing can be sent, so no deadline of sending may wake the driver.
        if isConnected, session.current != nil, paths.primary != nil {
            times += [restAt, paths.deadline, link.deadline, traversal]
        }
        return times.compactMap { $0 }.min()
    }
}
