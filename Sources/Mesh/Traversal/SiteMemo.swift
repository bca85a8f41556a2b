import Base
import Wire

/// # The negative cache of direct paths
///
/// Whether two nodes can have a direct path depends on the NATs before them, which the nodes of a site mostly share. So when
/// all methods have failed with one node of a site, the others of that site with the same kind of mapping get only a few
/// first probes, and no ports are predicted. The entry expires after an hour, when one of them turns out to be reachable
/// after all, and when this node moves.
struct SiteMemo: Sendable {
    static let life = Interval.minutes(60)
    private static let limit = 256

    private struct Key: Hashable {
        private(set) var site: String
        var mapping: NATMapping
    }
    private var until = Table<Key, Instant>()

    var count: Int { until.count }

    /// A node without a site shares its result with no other node.
    mutating func failed(_ site: String, _ mapping: NATMapping, now: Instant) {
        guard !site.isEmpty else { return }
        if until.count >= SiteMemo.limit { until.removeAll() }
        until[Key(site: site, mapping: mapping)] = now + SiteMemo.life
    }

    mutating func succeeded(_ site: String, _ mapping: NATMapping) {
        until.remove(Key(site: site, mapping: mapping))
    }

    mutating func forget() { if until.count > 0 { until.removeAll() } }

    func isKnownUnreachable(_ site: String, _ mapping: NATMapping, now: Instant) -> Bool {
        until[Key(site: site, mapping: mapping)].map { $0 > now } ?? false
    }
}
