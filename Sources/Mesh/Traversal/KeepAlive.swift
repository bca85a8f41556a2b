package import Base

// # How often a way is used that nothing else uses
//
// Translators and firewalls forget what was not used for a while, and then a relay cannot reach this node. So it uses the way
// to each of its relays now and then. How long "a while" is differs between half a minute and hours, and is measured where
// STUN servers allow it (`LifetimeSurvey`): a mapping was there after one time, and gone after another.
//
// | what is known | used every | why |
// |---|---|---|
// | nothing | 20 s | Linux forgets after 30 s what was never answered, and others hardly sooner |
// | it was there after t | 0.8 t, from 10 s to 110 s | a fifth for clocks and delays, and to ask again what was lost |
// | it was gone after the shortest time t | 0.4 t | half of it is the best guess, and a fifth off |
//
// Not more than 110 s: each use also shows that the relay is still there, and keys that were used are made anew at 120 s.

extension Endpoint {
    /// What is known of how long the translators before this node remember a conversation over IPv4; `nil`: nothing.
    package mutating func learned(_ lifetime: NATLifetime?, now: Instant) {
        let interval = Endpoint.keepAlive(for: lifetime)
        guard interval != configuration.keepAlive else { return }
        configuration.keepAlive = interval
        for peer in peers {
            guard let peer else { continue }
            peer.paths.needs(interval, now: now)
            mark(peer)
        }
    }

    /// How often the ways to relays are used now.
    package var keepAlive: Interval { configuration.keepAlive }

    package static func keepAlive(for lifetime: NATLifetime?) -> Interval {
        guard let lifetime else { return MeshConfiguration.keepAliveUnknown }
        if lifetime.atLeast > .zero {
            return min(max(lifetime.atLeast * 4 / 5, keepAliveLeast), keepAliveMost)
        }
        guard let below = lifetime.below else { return MeshConfiguration.keepAliveUnknown }
        return min(max(below * 2 / 5, .seconds(1)), MeshConfiguration.keepAliveUnknown)
    }

    private static let keepAliveLeast = Interval.seconds(10)
    private static let keepAliveMost = Interval.seconds(110)
}
