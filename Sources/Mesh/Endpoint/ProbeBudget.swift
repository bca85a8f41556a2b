import Base

/// How many probes this node sends, over all peers: a node that communicates with ten thousand peers at once must flood
/// neither its own link nor the table of its NAT (EasyTier#1504, tailscale#5389).
struct ProbeBudget {
    private var paths: TokenBucket
    /// Probes of sizes come in dozens. They have their own budget, so that they do not displace the probes that test whether
    /// a path is alive.
    private var sizes: TokenBucket
    /// Tokens count from this number. They are encrypted in transit, so they cannot be predicted.
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
