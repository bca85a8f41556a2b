package import Base
import Wire

/// # Keep-alives of unused paths
///
/// NATs and firewalls drop state that was not used for a while, and then a relay cannot reach this node. So the node uses the
/// path to each of its relays periodically. The timeouts differ between half a minute and hours. They are measured where STUN
/// servers allow it (`LifetimeDiscovery`): a mapping was there after one time, and gone after another.
///
/// | what is known | used every | why |
/// |---|---|---|
/// | nothing | 20 s | Linux drops a mapping without answers after 30 s, and others hardly sooner |
/// | it was there after t | 0.8 t, from 10 s to 110 s | a fifth for clocks, delays and retransmissions |
/// | it was gone after the shortest time t | 0.4 t | half of t is the best estimate, less a fifth |
///
/// Not more than 110 s: each use also shows that the relay is still there, and keys in use are renewed at 120 s.
package enum KeepAlive {
    /// Where nothing is known of the NAT.
    static let unknown = Interval.seconds(20)
    private static let least = Interval.seconds(10)
    private static let most = Interval.seconds(110)

    /// How often to use a path behind a NAT with mappings of that lifetime; `nil`: nothing is known of it.
    package static func interval(for lifetime: NATLifetime?) -> Interval {
        guard let lifetime else { return unknown }
        if lifetime.atLeast > .zero { return min(max(lifetime.atLeast * 4 / 5, least), most) }
        guard let below = lifetime.below else { return unknown }
        return min(max(below * 2 / 5, .seconds(1)), unknown)
    }
}
