import Base
import Mesh
import Wire

/// The fleet's overlay addresses: the controller's own, and the next free ones of the pool.
struct OverlayAddresses: Sendable {
    private let pool: OverlayPool
    /// The controller's IPv6 address.
    let own6: IPAddress

    init(_ network: IPPrefix, own6: IPAddress) {
        pool = OverlayPool(network)
        self.own6 = own6
    }

    var network: IPPrefix { pool.network }
    /// The controller's IPv4 address.
    var own4: IPAddress { pool.controller }

    func isOwn(_ address: IPAddress) -> Bool { address == own4 || address == own6 }

    func hasFree(_ counters: StoredCounters) -> Bool { pool.address(counters.overlay) != nil }

    /// The next free IPv4 address, which is to be stored with `counters`; `.any4` when there is none.
    func next(core: inout ControllerCore) -> IPAddress {
        while let address = pool.address(core.counters.overlay) {
            core.counters.overlay += 1
            // A store that was restored from a copy may have forgotten how far it had counted.
            if core.registry.slot(at: address) == nil { return address }
        }
        return .any4
    }
}
