package import Base
package import Wire

/// # The paths to one peer
///
/// A session does not know how its datagrams travel; a path set does, and decides. A path is an address, or a pair of
/// allocations at a relay. All of them carry the same session with the same keys. So the result of a probe of a path is also
/// true for data, and a change of path needs no handshake.
///
/// ```
///   reported, received ──→ untried ── a probe is answered ──→ alive ──→ primary: data goes here
///                      ↑                                 │  └──→ second: warm, and data goes here too while in doubt
///                      └──── nothing is answered ────────┘
/// ```
///
/// - An *upgrade* is immediate: the first answered probe of a better class (direct before relayed) makes a path primary.
///   Within a class, the round trip must be better by a fifth, by 5 ms and by the variation of the current one, three times
///   in a row.
/// - A *downgrade* needs evidence. While data is sent, the primary is probed every 100 ms. A probe without an answer for
///   longer than the path ever needs begins a *doubt*: data is sent on the second path too, and both are probed every 50 ms
///   (every third of a round trip on slow paths, which may be slow because they are full). Six probes lost in a row, while
///   the other path has answered at least one, make the other path primary; one answer ends the doubt. So random loss and a
///   peer that is suspended for a second change nothing: then the other path does not answer either, or the primary answers
///   again.
/// - A *move* follows the peer: a datagram from an unknown address begins a doubt as well. Data is sent there too at once,
///   and both are probed; if the new one answers while the primary is silent, the peer has moved.
/// - A path that failed is not used again for 30 seconds, then a minute, and so on up to ten minutes. But where this node, or
///   its NAT, has just moved, the failure does not count, and the path is tried again at once (`moved`).
///
/// Nothing is probed without need: an idle peer costs nothing. An owner that needs an open path sets `keepsWarm`.
///
/// - `Path` is one path and what its probes have shown; `PathTable` is all of them, and which is better.
/// - `PathDoubt` is the doubt of the primary, `HolePunch` the times at which direct paths are tried.
/// - `PathKeepAlive` is how often a path is used to be kept open, `RelayOnlyMode` is a person's temporary order.
/// - `PathHistory` holds the changes, for the layer above.
/// - `PathSet+Facts.swift` describes what is known of each path.
package struct PathSet: Sendable {
    private(set) var paths = PathTable()
    private var doubt = PathDoubt()
    private var punching = HolePunch()
    private var keepAlive = PathKeepAlive()
    private var relayOnlyMode = RelayOnlyMode()
    private var history = PathHistory()
    /// When data was last sent.
    private var sentAt: Instant?
    /// When this node last moved.
    private var movedAt: Instant?

    static let probeEvery = Interval.milliseconds(100)
    /// Data within this time means that the peer is active.
    private static let activeFor = Interval.seconds(30)
    /// Datagrams of the peer come from elsewhere, and for this long not on this path.
    private static let leftAfter = Interval.milliseconds(300)
    private static let settledAfter = Interval.seconds(5)

    package init(_ addresses: [PathAddress] = []) { add(addresses) }

    // MARK: - What there is

    package var addresses: [PathAddress] { paths.map(\.address) }
    package var primary: PathAddress? { paths.primaryIndex.map { paths[$0].address } ?? paths.first?.address }
    /// The second path for data while the primary is in doubt.
    package var second: PathAddress? {
        guard doubt.since != nil else { return nil }
        if let new = doubt.newAddress, paths.index(of: new) != nil { return new }
        return paths.standby.map { paths[$0].address }
    }
    package var hasAliveDirect: Bool { paths.hasAliveDirect }
    package var smoothedRoundTrip: Interval? {
        guard let primary = paths.primaryIndex, paths[primary].isTimed else { return nil }
        return paths[primary].round.smoothed
    }
    package var transitions: [Transition] { history.transitions }
    /// Transitions since the last call.
    package mutating func takeNews() -> ArraySlice<Transition> { history.takeNews() }

    /// How long an answer over the primary may take.
    var patience: Interval { paths.primaryIndex.map { paths[$0].patience } ?? .seconds(1) }
    func isAnswered(since time: Instant) -> Bool {
        paths.primaryIndex.flatMap { paths[$0].answeredAt }.map { $0 >= time } ?? false
    }
    /// How often direct paths were tried without effect.
    var failedPunches: Int { punching.failures }

    /// No path has answered since the doubt began, although there was time for an answer.
    func isDeaf(_ now: Instant) -> Bool {
        guard let since = doubt.since, now - since >= patience else { return false }
        return !paths.contains { ($0.answeredAt ?? .origin) >= since }
    }
    /// A live path leads to the peer, and not all paths have become silent.
    func isWell(_ now: Instant) -> Bool { paths.contains(where: \.isAlive) && !isDeaf(now) }
    /// The node has moved and the peer may not know of it yet: its NAT lets nothing in from the new address until the peer
    /// has sent something there.
    func isSettling(_ now: Instant) -> Bool { movedAt.map { now - $0 < PathSet.settledAfter } ?? false }
    private func isActive(_ now: Instant) -> Bool { now - (sentAt ?? .origin) < PathSet.activeFor }

    /// Where first messages of a handshake go. To all addresses as long as no path is known; later on the path of data, and
    /// from the second attempt on to all again.
    package func targets(attempt: Int) -> [PathAddress] {
        // TCP is for networks where UDP does not answer, so UDP has a lead of a quarter of a second. To a relay there is
        // already a connection.
        let others = paths.filter { !$0.address.isTCP || $0.address.isRelayed || $0.isAlive }.map(\.address)
        if paths.primaryIndex == nil, attempt == 0 { return others.isEmpty ? addresses : others }
        guard let primary = paths.primaryIndex, attempt < 2 else { return addresses }
        if attempt == 1 { return others }
        return [paths[primary].address] + (paths.standby.map { [paths[$0].address] } ?? [])
    }

    // MARK: - Paths come and go

    package mutating func add(_ addresses: [PathAddress]) {
        for address in addresses where paths.index(of: address) == nil && !relayOnlyMode.holds(address) {
            guard paths.append(address) else { return }
        }
    }

    /// Removes paths that can no longer be used: over a relay that this node has left.
    package mutating func withdraw(where isGone: (PathAddress) -> Bool, now: Instant) {
        var index = 0
        while index < paths.count {
            guard isGone(paths[index].address) else {
                index += 1
                continue
            }
            let wasPrimary = paths.primaryIndex == index
            let address = paths[index].address
            paths.remove(index)
            guard wasPrimary else { continue }
            doubt.end()
            if let best = paths.bestAlive() {
                select(best, .withdrawn, from: address, now: now)
            } else {
                // The first that answers is used.
                paths.probe(at: now)
            }
        }
    }

    /// `new` is the same path as `old`, except for its first part, which is known to be open. What is true of the one is
    /// assumed of the other, until a probe shows more.
    mutating func replace(_ old: PathAddress, by new: PathAddress, now: Instant) {
        guard let before = paths.index(of: old) else { return }
        let wasAlive = paths[before].isAlive
        add([new])
        if let index = paths.index(of: new), let before = paths.index(of: old) {
            paths[index].probe(at: now)
            if wasAlive {
                paths[index].inherited(now)
                if before == paths.primaryIndex { select(index, .withdrawn, from: old, now: now) }
            }
        }
        withdraw(where: { $0 == old }, now: now)
    }

    // MARK: - What happens

    /// An authentic datagram came by that path. `isNewest`: none that the peer sent later came before.
    package mutating func noteReceived(from address: PathAddress, isNewest: Bool, now: Instant) {
        if let known = paths.index(of: address) {
            paths[known].noteReceived(now)
            // The peer may have left the primary, or may only answer: a node that sends little detects it here.
            if isNewest, let primary = paths.primaryIndex, primary != known, doubt.since == nil,
                paths[primary].isSilent(for: PathSet.leftAfter, now),
                now - (paths[primary].lastProbeAt ?? .origin) >= PathSet.leftAfter
            {
                paths[primary].probe(at: now)
                paths[known].probe(at: now)
            }
            return
        }
        guard isNewest, !paths.isCrowded(address, now) else { return }
        add([address])
        guard let index = paths.index(of: address) else { return }
        paths[index].noteReceived(now)
        paths[index].probe(at: now)
        guard paths.primaryIndex != nil else { return }
        // Data is sent there too from now on, until the two probes are decided.
        doubt.receivedNew(address, now)
        beginDoubt(now)
    }

    /// The session was made over that path: both ends have received datagrams on it.
    /// `isNew`: the peer has lost its earlier state.
    package mutating func established(at address: PathAddress, isNew: Bool, now: Instant) {
        add([address])
        guard let index = paths.index(of: address) else { return }
        paths[index].established(now)
        guard let primary = paths.primaryIndex else { return select(index, .first, from: nil, now: now) }
        if primary != index, isNew || !paths[primary].isAlive || doubt.since != nil {
            select(index, .moved, from: paths[primary].address, now: now)
        }
    }

    package mutating func measured(_ roundTrip: Interval, at address: PathAddress) {
        guard let index = paths.index(of: address) else { return }
        paths[index].measured(roundTrip)
    }

    /// Data was sent.
    package mutating func sent(now: Instant) {
        defer { sentAt = now }
        guard let primary = paths.primaryIndex else { return }
        let last = paths[primary].lastProbeAt ?? paths[primary].answeredAt ?? .origin
        paths[primary].probe(by: max(now, last + max(PathSet.probeEvery, (smoothedRoundTrip ?? .zero) / 2)))
        // After a long silence the path may be closed: a doubt begins before data is lost.
        if doubt.since == nil, paths[primary].isSilent(for: keepAlive.staleAfter, now), paths.standby != nil {
            beginDoubt(now)
        }
        if !isActive(now), let standby = paths.standby { paths[standby].probe(at: now) }
        if !hasAliveDirect, punching.retryAt == nil { planPunch(now) }
    }

    /// The answer to a probe arrived by that path. Returns the round trip, or `nil` if there was no such probe.
    package mutating func answered(_ token: UInt64, from address: PathAddress, now: Instant) -> Interval? {
        for index in paths.indices {
            guard let answer = paths[index].answered(token, from: address, now) else { continue }
            guard answer.isSameWay else { return now - answer.sentAt }
            if address.isDirect { punching.succeeded() }
            decide(index, answer.sentAt, now)
            // A late answer can make a path the second best one, and then its probes must be planned.
            if index == paths.standby, isActive(now) {
                paths[index].probeUnlessPlanned(at: now + keepAlive.standbyEvery)
            }
            return now - answer.sentAt
        }
        return nil
    }

    /// This machine was suspended for so long: probes without an answer were perhaps not received.
    package mutating func slept(_ length: Interval) { for index in paths.indices { paths[index].slept(length) } }

    /// Nothing was sent for a while: frees memory that an idle peer does not need.
    mutating func rest() { for index in paths.indices { paths[index].rest() } }

    /// This node has moved, or is seen at another address. Earlier failures of a path do not count any more.
    package mutating func moved(now: Instant) {
        movedAt = now
        for index in paths.indices {
            paths[index].forgive()
            // Earlier answers do not count either. The path in use is tested anyway.
            if index != paths.primaryIndex, paths[index].address.isDirect { paths[index].died() }
        }
    }

    // MARK: - Which path data takes

    /// Decides after an answer to a probe of the path, which was sent at that time.
    private mutating func decide(_ index: Int, _ probedAt: Instant, _ now: Instant) {
        guard let primary = paths.primaryIndex else { return select(index, .first, from: nil, now: now) }
        guard index != primary else {
            if doubt.isEnded(byAnswerToProbeAt: probedAt) { doubt.end() }
            return
        }
        let old = paths[primary].address
        if !paths[primary].isAlive { return select(index, .silent, from: old, now: now) }
        if doubt.hasMoved(to: paths[index], from: paths[primary]) {
            return select(index, .moved, from: old, now: now)
        }
        if paths[primary].isLost, let since = doubt.since, probedAt >= since { return fail(primary, for: index, now) }
        guard now >= paths[index].barredUntil else { return }
        if paths[index].tier < paths[primary].tier { return select(index, .better, from: old, now: now) }
        guard paths[index].tier == paths[primary].tier, paths[index].isTimed, paths[primary].isTimed else { return }
        if paths[index].isFaster(than: paths[primary].round) { select(index, .faster, from: old, now: now) }
    }

    private mutating func fail(_ primary: Int, for index: Int, _ now: Instant) {
        if isSettling(now) {
            // It is silent now; that does not count as a failure.
            paths[primary].died()
            paths[primary].punch(now)
        } else {
            paths[primary].failed(now)
        }
        select(index, .silent, from: paths[primary].address, now: now)
    }

    /// Makes a path the primary.
    private mutating func select(_ index: Int, _ cause: Cause, from old: PathAddress?, now: Instant) {
        let length = cause == .silent || cause == .moved ? lengthOfDoubt(now) : nil
        paths.select(index)
        doubt.end()
        history.append(Transition(at: now, from: old, to: paths[index].address, cause: cause, elapsed: length))
        // The other may have been left because of silence: checks soon whether it is back.
        if cause == .silent || cause == .debug { punching.planRetrySoon(now) }
        if let standby = paths.standby { paths[standby].probeUnlessPlanned(at: now) }
    }

    private func lengthOfDoubt(_ now: Instant) -> Interval? {
        doubt.length(missedAt: paths.primaryIndex.flatMap { paths[$0].firstMissedAt }, now)
    }

    /// Probes the primary and all paths that could replace it.
    private mutating func beginDoubt(_ now: Instant) {
        guard doubt.begin(now) else { return }
        if let primary = paths.primaryIndex { paths[primary].probe(at: now) }
        paths.probe(at: now) { $0.isAlive || $0.address.isRelayed }
    }

    // MARK: - Time

    /// Probes that are due, each with its path, at most `limit`; more have to wait. Their tokens count from `firstToken`.
    package mutating func takeProbes(
        now: Instant, limit: Int, firstToken: UInt64
    ) -> [(address: PathAddress, token: UInt64)] {
        settle(now)
        var due: [(PathAddress, UInt64)] = []
        for index in paths.indices {
            guard let at = paths[index].nextProbe, at <= now else { continue }
            guard due.count < limit else {
                paths[index].probe(at: now + PathSet.probeEvery)
                continue
            }
            let number = firstToken &+ UInt64(due.count)
            paths[index].sent(number, now)
            due.append((paths[index].address, number))
            schedule(index, now)
        }
        return due
    }

    /// The next time at which `takeProbes` has something to do.
    package var deadline: Instant? {
        var earliest: Instant?
        func consider(_ time: Instant?) {
            guard let time else { return }
            earliest = min(earliest ?? time, time)
        }
        consider(punching.retryAt)
        consider(punching.owedAt)
        for index in paths.indices {
            consider(paths[index].nextProbe)
            if index == paths.primaryIndex { consider(paths[index].missDeadline) }
        }
        return earliest
    }

    private mutating func settle(_ now: Instant) {
        if punching.isOwed(now) { punch(isBrief: punching.isBrief, now: now) }
        if punching.takeRetry(now), !hasAliveDirect, keepsWarm != nil || isActive(now) {
            punching.failed()
            punch(isBrief: punching.isBrief, now: now)
            if keepsWarm != nil { planPunch(now) }
        }
        for index in paths.indices {
            paths[index].missProbes(now)
            if index != paths.primaryIndex, paths[index].isLost { paths[index].died() }
        }
        guard let primary = paths.primaryIndex, paths[primary].missed > 0 else { return }
        if let new = doubt.newAddress, let index = paths.index(of: new), index != primary,
            doubt.hasMoved(to: paths[index], from: paths[primary])
        {
            return select(index, .moved, from: paths[primary].address, now: now)
        }
        beginDoubt(now)
        // Answers of the other path from before the last lost probe count as well.
        if paths[primary].isLost, let since = doubt.since,
            let other = paths.indices.first(where: {
                $0 != primary && paths[$0].isAlive && (paths[$0].answeredAt ?? .origin) > since
            })
        {
            fail(primary, for: other, now)
        }
    }

    /// Plans the next probe of that path, after one was just sent.
    private mutating func schedule(_ index: Int, _ now: Instant) {
        paths[index].planNoProbe()
        if paths[index].planPunchProbe(limit: punching.probeLimit, now) { return }
        guard let primary = paths.primaryIndex else {
            // The first that answers is used; the path may not be open yet.
            let isNew = paths[index].probes.count < Path.probesKept
            return paths[index].probe(at: now + (isNew ? PathSet.probeEvery : .seconds(1)))
        }
        let address = paths[index].address, isActive = isActive(now)
        if doubt.since != nil, index == primary || paths[index].isAlive || !address.isDirect {
            if doubt.countProbe() { paths.tryTCP(now) }
            let wait = doubt.wait(
                roundTrip: smoothedRoundTrip, isActive: isActive, counts: index == primary || index == paths.standby)
            if let wait { paths[index].probe(at: now + wait) }
        } else if index != primary, address.isRelayed, !hasAliveDirect, paths[index].planComparison(now) {
            return
        } else if index == primary, let wait = keepAlive.wait(address) {
            paths[index].probe(at: now + wait)
        } else if index != primary, isActive, index == paths.standby {
            paths[index].probe(at: now + keepAlive.standbyEvery)
        }
    }

    // MARK: - Punching

    /// Tries all direct candidates: datagrams from both ends at the same time open both ends' NATs. `isBrief`: success is not
    /// expected.
    package mutating func punch(isBrief: Bool = false, now: Instant) {
        guard punching.begin(isBrief: isBrief, now) else { return }
        paths.punch(now)
        if primary?.isRelayed ?? false { paths.tryTCP(now) }
        paths.tryRelays(now)
    }

    private mutating func planPunch(_ now: Instant) {
        if paths.contains(where: \.address.isDirect) { punching.planRetry(now) }
    }

    /// Probes relays that were never tried.
    package mutating func tryRelays(now: Instant) { paths.tryRelays(now) }

    /// An allocation is bound (again): probes through it can be answered from now on.
    mutating func bound(_ near: UInt32, now: Instant) {
        paths.probe(at: now) { $0.address.uses(allocation: near) && !$0.isAlive }
    }

    // MARK: - Keeping paths open

    /// Whether the primary is probed while nothing is sent, and how often.
    package var keepsWarm: Interval? {
        get { keepAlive.every }
        set { keepAlive.keep(every: newValue) }
    }

    /// No NAT on the path keeps a mapping for longer than `interval`.
    package mutating func limitKeepAlive(to interval: Interval, now: Instant) {
        guard keepAlive.limit(to: interval), let primary = paths.primaryIndex, paths[primary].nextProbe != nil,
            let wait = keepAlive.wait(paths[primary].address)
        else { return }
        paths[primary].probe(by: now + wait)
    }

    /// Probes the primary at once: its answer states how this node is seen now.
    mutating func ask(now: Instant) {
        if let primary = paths.primaryIndex { paths[primary].probe(at: now) }
    }

    // MARK: - Debug commands of people (`asterism debug`)

    /// Only relays are used.
    package var isRelayOnly: Bool { relayOnlyMode.isOn }
    /// Direct addresses that are kept for later meanwhile.
    var setAside: [PathAddress]? { relayOnlyMode.setAside }

    /// With `isOn`, neither data nor probes are sent directly, and the source of a direct datagram does not become a path.
    /// Known direct addresses are kept, and tried again when the mode ends.
    package mutating func relayOnly(_ isOn: Bool, now: Instant) {
        if !isOn {
            guard let direct = relayOnlyMode.end() else { return }
            add(direct)
            return punch(now: now)
        }
        guard !isRelayOnly else { return }
        if let primary = paths.primaryIndex, !paths[primary].address.isRelayed,
            let relay = paths.best(where: \.isRelayed)
        {
            select(relay, .debug, from: paths[primary].address, now: now)
        }
        relayOnlyMode.begin(settingAside: addresses.filter { !$0.isRelayed })
        withdraw(where: { !$0.isRelayed }, now: now)
        tryRelays(now: now)
    }

    /// Treats a path as one that has become silent: data leaves it at once, and it is not used again for a while. False if
    /// there is no such path, or no other that could be used instead.
    package mutating func drop(_ address: PathAddress, now: Instant) -> Bool {
        guard let dropped = paths.index(of: address) else { return false }
        guard dropped == paths.primaryIndex else {
            paths[dropped].failed(now)
            return true
        }
        guard let other = paths.best(where: { $0 != address }) else { return false }
        paths[dropped].failed(now)
        select(other, .debug, from: address, now: now)
        // It may never have been tried.
        paths[other].probe(at: now)
        return true
    }
}
