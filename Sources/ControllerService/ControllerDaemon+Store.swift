package import Base
import Control
package import Daemon
package import Logging
import Mesh
import Noise
import Platform
import Wire

// The controller as its database has it.

extension ControllerDaemon {
    /// Makes the database of a new fleet where the one of the old fleet is empty or lost. It does nothing else: the
    /// service is started as usual afterwards. What is left of the old fleet is renamed.
    package static func makeFleet(_ settings: Settings, log: Logger) throws(StartError) {
        do throws(StoreError) {
            let store = try Store(directory: settings.dataDirectory, isNewFleet: true)
            for path in store.renamed { log.warning("renamed a file of the old fleet", metadata: ["path": "\(path)"]) }
            let fleet = try load(store).0.fleet
            try store.close()
            log.notice("a new fleet was made; start the controller", metadata: ["fleet": "\(fleet.hex)"])
        } catch { throw StartError("--data", error.description, error.status) }
    }

    /// The controller as it was left; at the first start, that of a new fleet.
    static func restore(
        _ store: Store, _ settings: Settings, _ own: consuming ControllerSettings, now: Instant
    ) throws(StartError) -> Controller {
        let secrets: StoredSecrets, state: StoredState
        do throws(StoreError) { (secrets, state) = try load(store) } catch {
            throw StartError("--data", error.description, error.status)
        }
        own.overlayNetwork = try overlayNetwork(settings, kept: state.counters)
        // The store gives 32 bytes each, and these make keys.
        return Controller(
            identity: Identity(SecretKey(secrets.identity)!),
            authority: Authority(fleet: secrets.fleet, key: SigningKey(secrets.authority)!), settings: own,
            stored: state, incarnation: Entropy.word(), seed: Entropy.seed(), now: now,
            wall: Clock.wall() + settings.clockOffset)
    }

    static func overlayNetwork(
        _ settings: Settings, kept: StoredCounters
    ) throws(StartError) -> IPPrefix {
        do throws(OverlayPool.Fault) {
            return try OverlayPool.network(asked: settings.overlayNetwork, kept: kept)
        } catch { throw StartError("--overlay-network", error.description) }
    }

    /// Whether a network can be the overlay's, without regard to the stored state.
    package static func checkOverlayNetwork(_ network: IPPrefix) throws(StartError) {
        do throws(OverlayPool.Fault) {
            _ = try OverlayPool.network(asked: network, kept: StoredCounters())
        } catch { throw StartError("--overlay-network", error.description) }
    }

    private static func load(_ store: Store) throws(StoreError) -> (StoredSecrets, StoredState) {
        let secrets: StoredSecrets
        if let known = try store.secrets() {
            secrets = known
        } else {
            secrets = StoredSecrets(
                fleet: FleetID(Entropy.word(), Entropy.word()), authority: Entropy.bytes(SigningKey.count),
                identity: Entropy.bytes(SecretKey.count))
            try store.found(secrets)
        }
        try store.mark(secrets.fleet)
        return (secrets, try store.load())
    }
}
