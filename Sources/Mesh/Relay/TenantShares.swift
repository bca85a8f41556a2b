import Base

/// One token bucket of bytes for each tenant.
struct TenantShares {
    private let bytesPerSecond: Int64
    private var buckets = Table<String, TokenBucket>()
    private static let limit = 4096

    init(bytesPerSecond: Int64) { self.bytesPerSecond = bytesPerSecond }

    /// The bytes of a quarter of a second may come at once.
    private var burst: Int64 { max(64 << 10, bytesPerSecond / 4) }

    mutating func take(_ count: Int, of tenant: String, now: Instant) -> Bool {
        // Tenants are in certificates, so there are not many; if there are, all begin with a full bucket again.
        if buckets.count >= TenantShares.limit, buckets[tenant] == nil { buckets.removeAll() }
        var bucket = buckets[tenant] ?? TokenBucket(perSecond: bytesPerSecond, burst: burst, now: now)
        defer { buckets[tenant] = bucket }
        return bucket.take(Int64(count), now: now)
    }
}
