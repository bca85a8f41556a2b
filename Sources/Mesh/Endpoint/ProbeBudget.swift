import Base

/// How many probes this node sends, over all peers: a node that talks to ten thousand peers at once must not flood its own
/// line, nor the table of its NAT (EasyTier#1504, tailscale#5389).
struct ProbeBudget {
    private var paths: TokenBucket
    /// Probes of sizes come in dozens. They have a budget of their own, so that they do not take the place of the probes
    /// that find out whether a path is alive.
    private var sizes: TokenBucket
    /// Tokens count on from here. They travel sealed, so nobody can predict them.
    private(set) var nextToken: UInt64

    /// `perSecond`: of each of the two.
    init(perSecond: Int64, firstToken: UInt64, now: Instant) {
        paths = TokenBucket(perSecond: perSecond, burst: perSecond, now: now)
        sizes = paths
        nextToken = firstToken
    }

    mutating func availableForPaths(_ now: Instant) -> Int { Int(paths.available(now)) }
    mutating func availableForSizes(_ now: Instant) -> Int { Int(sizes.available(now)) }

    mutating func sentPathProbes(_ count: Int, now: Instant) {
        guard count > 0 else { return }
        nextToken &+= UInt64(count)
        _ = paths.take(Int64(count), now: now)
    }

    mutating func sentSizeProbes(_ count: Int, now: Instant) {
        guard count > 0 else { return }
        nextToken &+= UInt64(count)
        _ = sizes.take(Int64(count), now: now)
    }
}
