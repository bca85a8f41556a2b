import Base
import Wire

/// # How large a datagram may be
///
/// The kernel knows the MTU of a path's first link and what routers have reported since. Routers that drop large packets
/// without an ICMP error (or whose errors a firewall drops) make a black hole: large packets are lost while small ones pass
/// (tailscale#311, open since 2020). So the size is measured inside the session (RFC 8899, packetization layer path MTU
/// discovery): with the first packets that go over a path, one probe of each likely size is sent at once, and the largest
/// that is answered is what the path carries. Until then the kernel's value is used, since it is nearly always right, and a
/// sender that gets a smaller value for a moment would keep it for ten minutes.
///
/// While packets flow, every 200 ms a probe has the full size. If two of them are lost in a row while small ones are
/// answered, the path's MTU has become smaller: the least size is used at once, and the search begins again.
struct PathSize {
    /// Likely sizes of IP packets on links: jumbo frames, Ethernet, PPPoE, tunnels within tunnels, the least of IPv6.
    static let links = [9000, 1500, 1492, 1480, 1460, 1440, 1420, 1400, 1380, 1340, 1280, 1240, 1200, 1124]
    static let checkEvery = Interval.milliseconds(200)
    /// A path with a smaller MTU than the kernel's value is measured again after so long (RFC 8899, section 5.1.1).
    static let searchAgain = Interval.minutes(10)
    static let missedLimit = 2

    private struct Probe {
        let token: UInt64
        let size: Int
        let sentAt: Instant
    }

    /// Bytes of UDP payload that the path carries, as far as is known.
    private(set) var limit: Int
    private var ceiling: Int
    private var headers: Int
    private var probes: [Probe] = []
    private var isSearchDue = false
    private var searchedAt: Instant?
    private var best = 0
    /// Probes of a search are sent together, the largest first. When one is answered, the larger ones are lost, or late by at
    /// most this short time.
    private var concludesAt: Instant?
    static let overtaken = Interval.milliseconds(20)
    private var isVerified = false
    private var checkAt: Instant?
    private var checkedAt = Instant.origin
    private var missed = 0
    /// No probes before then, because too many are sent to other peers.
    private var waitsUntil = Instant.origin
    /// How long answers may take, as of the last call.
    private var patience = Interval.zero

    /// `ceiling`: the kernel's value. `isIPv4`: the family of the path's address.
    init(ceiling: Int, isIPv4: Bool) {
        self.ceiling = ceiling
        limit = ceiling
        headers = isIPv4 ? 28 : 48
    }

    private static let waitForRoom = Interval.milliseconds(200)

    static let floor = Limits.datagramBytes + DatagramHeader.relayedSize

    /// The kernel reports another value.
    mutating func believe(_ ceiling: Int) {
        guard ceiling != self.ceiling else { return }
        self = PathSize(ceiling: ceiling, isIPv4: headers == 28)
    }

    /// Packets were sent on that path.
    mutating func used(_ now: Instant) {
        guard ceiling > PathSize.floor else { return }
        if !isVerified, searchedAt == nil { isSearchDue = true }
        if let searched = searchedAt, isVerified, limit < ceiling, now - searched >= PathSize.searchAgain {
            isSearchDue = true
        }
        if isVerified, limit > PathSize.floor, checkAt == nil { checkAt = max(now, checkedAt + PathSize.checkEvery) }
    }

    /// Whether the answer was to one of these probes.
    mutating func answered(_ token: UInt64, now: Instant) -> Bool {
        guard let place = probes.firstIndex(where: { $0.token == token }) else { return false }
        let probe = probes.remove(at: place)
        missed = 0
        best = max(best, probe.size)
        guard !isVerified else { return true }
        if probes.contains(where: { $0.size > best }) {
            concludesAt = concludesAt ?? now + PathSize.overtaken
        } else {
            conclude()
        }
        return true
    }

    private mutating func conclude() {
        if best > 0 { limit = best }
        isVerified = true
        probes = []
        concludesAt = nil
    }

    var deadline: Instant? {
        if isSearchDue { return waitsUntil }
        var earliest = isVerified ? checkAt.map { max($0, waitsUntil) } : nil
        if let first = probes.map(\.sentAt).min() {
            earliest = min(earliest ?? .distantFuture, min(first + patience, concludesAt ?? .distantFuture))
        }
        return earliest
    }

    /// Probes to send now, at most `room`; if a search needs more, none now, and all later. `patience` is how long an answer
    /// may take, `isAlive` whether small probes are answered.
    mutating func due(
        _ now: Instant, patience: Interval, isAlive: Bool, room: Int = .max, firstToken: UInt64
    ) -> [(size: Int, token: UInt64)] {
        self.patience = patience
        settle(now, isAlive)
        guard room > PathSize.links.count else {
            waitsUntil = now + PathSize.waitForRoom
            return []
        }
        if isSearchDue { return search(now, firstToken) }
        guard let at = checkAt, at <= now, isVerified else { return [] }
        checkAt = nil
        checkedAt = now
        probes.append(Probe(token: firstToken, size: limit, sentAt: now))
        return [(limit, firstToken)]
    }

    private mutating func settle(_ now: Instant, _ isAlive: Bool) {
        guard let first = probes.map(\.sentAt).min() else { return }
        if let concludesAt, concludesAt <= now { return conclude() }
        guard now - first >= patience else { return }
        guard isVerified else { return conclude() }
        probes.removeAll { now - $0.sentAt >= patience }
        // If a path answers nothing at all, the size is not the cause.
        missed = isAlive ? missed + 1 : 0
        guard missed >= PathSize.missedLimit else { return }
        missed = 0
        limit = min(limit, PathSize.floor)
        isVerified = false
        isSearchDue = true
    }

    private mutating func search(_ now: Instant, _ firstToken: UInt64) -> [(size: Int, token: UInt64)] {
        isSearchDue = false
        isVerified = false
        checkAt = nil
        concludesAt = nil
        searchedAt = now
        best = 0
        missed = 0
        var sizes = PathSize.links.map { $0 - headers }.filter { $0 < ceiling && $0 > PathSize.floor }
        sizes.insert(ceiling, at: 0)
        probes = sizes.enumerated().map {
            Probe(token: firstToken &+ UInt64($0.offset), size: $0.element, sentAt: now)
        }
        return probes.map { ($0.size, $0.token) }
    }
}
