import Base
import Wire

/// How often a path is used so that NATs do not forget it.
struct PathKeepAlive: Sendable {
    /// The second path of an active peer is probed so often at least, which also keeps NATs' mappings.
    private static let standbyLimit = Interval.seconds(15)
    /// Longer than this unheard, and a NAT may have forgotten the path.
    private static let staleLimit = Interval.seconds(20)
    /// Nothing is known of firewalls for IPv6 and for TCP, whatever was measured of the NAT of IPv4.
    private static let unmeasured = Interval.seconds(20)

    /// How often the primary is probed while nothing is sent; `nil` where it need not be kept open.
    private(set) var every: Interval?
    /// How often the second path is probed.
    private(set) var standbyEvery = PathKeepAlive.standbyLimit
    /// After what silence the primary is doubted.
    private(set) var staleAfter = PathKeepAlive.staleLimit

    mutating func keep(every interval: Interval?) { every = interval }

    /// What is kept open is used so often from now on. Elsewhere it counts only where it is less than is taken for granted,
    /// since the peer's NAT may forget sooner than this node's. Returns whether `every` has changed.
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
