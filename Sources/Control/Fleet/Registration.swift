import Base
import Mesh
import Wire

/// A member's entry in the directory: its addresses and the relays that lead to it. It is registered when the control
/// stream opens, when it changes, and before the directory forgets it.
struct Registration: Sendable {
    private var dueAt: Instant?

    /// A third of the directory's memory.
    private static let every = Interval.seconds(40)
    /// For several changes that follow each other.
    static let coalesce = Interval.milliseconds(50)

    /// To be asked for only while a controller can be asked, as `service` does.
    var deadline: Deadline? { dueAt.map { Deadline($0, "directory") } }

    /// A control stream has opened.
    mutating func begin(now: Instant) { dueAt = now }

    /// The addresses have changed. Before the first registration this has no effect.
    mutating func renew(by time: Instant) { dueAt = dueAt.map { min($0, time) } }

    mutating func service(core: inout AgentCore, now: Instant) {
        guard core.canLookUp, let due = dueAt, due <= now else { return }
        var addresses: [SocketAddress] = [], places: [RelayedAddress] = []
        for candidate in core.endpoint.value.candidates {
            switch candidate {
            case .direct(let address): addresses.append(address)
            case .relayed(let place): places.append(place)
            }
        }
        core.send(
            .register(Register(addresses: addresses, relays: places, tcpPorts: core.configuration.tcpPorts)))
        dueAt = now + Registration.every
    }
}
