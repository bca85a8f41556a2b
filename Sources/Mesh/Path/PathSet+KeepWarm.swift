package import Base
import Wire

// How often a way is used so that translators do not forget it.

extension PathSet {
    /// Nothing is known of firewalls for IPv6 and for TCP, whatever was measured of the translator of IPv4.
    private static let unmeasured = Interval.seconds(20)

    /// What is kept warm is used so often from now on. Elsewhere it counts only where it is less than is taken for granted,
    /// since the peer's translator may forget sooner than this node's.
    package mutating func needs(_ interval: Interval, now: Instant) {
        warmEvery = min(PathSet.warmEvery, interval)
        staleAfter = min(PathSet.staleAfter, interval)
        guard keepsWarm != nil, keepsWarm != interval else { return }
        keepsWarm = interval
        guard let primaryIndex, let planned = paths[primaryIndex].nextProbe else { return }
        paths[primaryIndex].nextProbe = min(planned, now + wait(primaryIndex, interval))
    }

    /// Until that path is used again only to keep it warm.
    func wait(_ index: Int, _ keepsWarm: Interval) -> Interval {
        let address = paths[index].address
        return address.remote.ip.isIPv4 && !address.isTCP ? keepsWarm : min(keepsWarm, PathSet.unmeasured)
    }
}
