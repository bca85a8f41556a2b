import Base
import OrderedCollections

/// Addresses of the host names by which a controller is known. The core cannot resolve a name: it asks the shell and uses
/// the last answer. It asks again while the controller cannot be reached, since it may have moved.
struct NameCache: Sendable {
    private struct Entry {
        var addresses: [IPAddress] = []
        var askedAt: Instant?
    }
    private var entries = OrderedDictionary<HostPort, Entry>()

    /// A name is not asked for more often.
    static let askEvery = Interval.seconds(3)

    /// Those of `names` that are to be asked for now.
    mutating func due(_ names: [HostPort], now: Instant) -> [HostPort] {
        names.filter { name in
            if let asked = entries[name]?.askedAt, now - asked < NameCache.askEvery { return false }
            entries[name, default: Entry()].askedAt = now
            return true
        }
    }

    /// The resolver's answer; empty where there is none. Returns whether it differs from the last one. An empty answer changes
    /// nothing: a name server that is down does not move the controller.
    mutating func resolved(_ name: HostPort, _ addresses: [IPAddress]) -> Bool {
        // A name server gives the same addresses in another order each time.
        let known = addresses.sorted().prefix(NameCache.addressLimit)
        guard let entry = entries[name], !known.isEmpty, entry.addresses != Array(known) else { return false }
        entries[name]?.addresses = Array(known)
        return true
    }

    func addresses(of names: [HostPort]) -> [SocketAddress] {
        names.flatMap { name in (entries[name]?.addresses ?? []).map { SocketAddress($0, name.port) } }
    }

    /// Of one name.
    static let addressLimit = 4
}
