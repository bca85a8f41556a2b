import Base
import Wire

/// How often a path is used so that NATs do not forget it.
struct PathKeepAlive: Sendable {
    /// The second path of an active peer is probed at least this often, which also keeps NAT mappings alive.
    private static let standbyLimit = Interval.seconds(15)
    /// After a longer silence, a NAT may have dropped the path's mapping.
    private static let staleLimit = Interval.seconds(20)
    /// The timeouts of firewalls for IPv6 and TCP are unknown, whatever was measured of the IPv4 NAT.
    private static let unmeasured = Interval.seconds(20)

    /// How often the primary is probed while nothing is sent; `nil` where it need not be kept open.
    private(set) var every: Interval?
    /// How often the second path is probed.
    private(set) var standbyEvery = PathKeepAlive.standbyLimit
    /// The silence after which the primary is in doubt.
    private(set) var staleAfter = PathKeepAlive.staleLimit

    mutating func keep(every interval: Interval?) { every = interval }

    /// Sets how often paths are used to keep them open. For other purposes it counts only where it is below the default,
    /// since the peer's NAT may have a shorter timeout than this node's. Returns whether `every` has changed.
    mutating func limit(to interval: Interval) -> Bool {
        standbyEvery = min(PathKeepAlive.standbyLimit, interval)
        staleAfter = min(PathKeepAlive.staleLimit, interval)
        guard every != nil, every != interval else { return false }
        every = interval
        return true
    }

    /// Until a path is used again only to keep it open; `nil` where it need not be.
    func wait(_ address: PathAddress) -> Interval? {
        guard let every else { return nil }
        return address.remote.ip.isIPv4 && !address.isTCP ? every : min(every, PathKeepAlive.unmeasured)
    }
}
