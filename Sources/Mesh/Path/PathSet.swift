package import Base
package import Wire

/// # The ways to one peer
///
/// A session does not know how its datagrams travel; a path set does, and decides. A path is an address, or a pair of legs
/// at a relay. All of them carry the same session with the same keys, so that what is found out about a path with a probe
/// is true for data, and a change of path costs no handshake.
///
/// ```
///   told, heard ──→ untried ── a probe is answered ──→ alive ──→ primary: data goes here
///                      ↑                                 │  └──→ second: warm, and data goes here too while in doubt
///                      └──── nothing is answered ────────┘
/// ```
///
/// - *Up* goes at once: the first answered probe of a better class (direct before relayed) makes a path primary. Within a
///   class it takes a round trip better by a fifth, by 5 ms and by what the present one varies, three times in
///   a row.
/// - *Down* goes by evidence alone. While data is sent, the primary is probed every 100 ms. A probe that goes unanswered
///   for longer than the path ever takes raises *doubt*: data travels on the second path too, and both are probed every
///   50 ms (every third of a round trip on long ways, which may be long because they are full). Six probes lost in a row,
///   of which the other path has answered one meanwhile, make the other path primary; one answer ends the doubt. So random
///   loss and a peer that stands still for a second change nothing, for then the other path does not answer either, or the
///   primary does again.
/// - *Moves* follow the peer: an unknown address from which it is heard raises doubt as well. Data goes there too at once,
///   and both are probed; if the new one answers while the primary is silent, the peer has moved.
/// - A path that failed is not taken back for 30 seconds, then a minute, and so on up to ten; but where this node has just
///   moved itself, or its translator has, it is not the path's fault, and it is tried again at once (`moved`).
///
/// Nothing is probed without need: an idle peer costs nothing. Whoever wants a path kept open says so (`keepsWarm`).
package struct PathSet: Sendable {
    /// Why data changed its path.
    package enum Cause: String, Hashable, Sendable, CaseIterable {
        /// There was none before.
        case first
        /// A class better, such as direct in place of relayed.
        case better
        case faster
        /// The peer is heard from there, and no more from where it was.
        case moved
        /// Probes of the old one went unanswered.
        case silent
        /// The relay is gone, or reached another way, or the node's own address is gone.
        case withdrawn
        /// A person wanted it so (`asterism debug`).
        case debug
    }

    package struct Transition: Hashable, Sendable {
        package var at: Instant
        package var from: PathAddress?
        package var to: PathAddress
        package var cause: Cause
        /// How long data had been in doubt, where it was left for silence or because the peer had moved.
        package var took: Interval?
    }

    var paths: [Path] = []
    private(set) var primaryIndex: Int?
    /// Since when the primary is in doubt.
    private(set) var doubtSince: Instant?
    private var doubtProbes = 0
    private var sentAt: Instant?
    /// An unknown address from which the peer was heard, and since when: it may have moved there.
    private var newcomer: PathAddress?
    private var heardNewAt: Instant?
    package private(set) var transitions: [Transition] = []
    private var untold = 0
    /// Whether the primary is probed while nothing is sent, and how often.
    package var keepsWarm: Interval?
    /// How often the second path is probed, and after what silence the primary is doubted; see `PathSet+KeepWarm.swift`.
    var warmEvery = PathSet.warmEvery
    var staleAfter = PathSet.staleAfter
    /// When the direct candidates are tried again, and how often they were in vain.
    var punchAgain: Instant?
    var vainPunches = 0
    var punchedAt: Instant?
    /// When a punch is due that was too soon after the one before.
    var punchOwedAt: Instant?
    /// When this node was last elsewhere than before.
    var movedAt: Instant?
    /// How many first shots a candidate gets.
    var shotLimit = PathSet.shots.count
    /// Direct addresses that are not made use of, while only relays are to be; see `PathSet+Debug.swift`.
    var setAside: [PathAddress]?

    static let probeEvery = Interval.milliseconds(100)
    static let doubtEvery = Interval.milliseconds(50)
    /// In doubt, of paths beside the primary and the one that would take its place.
    static let restEvery = Interval.milliseconds(250)
    /// Lost in a row before another path is taken.
    static let missedLimit = 6
    /// Data within this long means that the peer is being talked to.
    static let activeFor = Interval.seconds(30)
    /// The second path of an active peer is probed so often at least, which also keeps translators' mappings.
    static let warmEvery = Interval.seconds(15)
    /// The peer is heard elsewhere and for this long not here.
    static let leftAfter = Interval.milliseconds(300)
    /// Longer than this unheard, and a translator may have forgotten the path.
    static let staleAfter = Interval.seconds(20)
    /// Of a doubt, before TCP is tried.
    static let probesBeforeTCP = 8
    static let punchEvery = Interval.milliseconds(250)
    /// First shots at a candidate (milliseconds after the first), then one a second up to twelve.
    static let shots: [Int64] = [
        0, 200, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 11_000, 12_000,
    ]
    /// A relay is chosen by the whole round trip over it, of several answers.
    static let comparisonLimit = 4
    static let compareEvery = Interval.milliseconds(200)
    static let punchWaits: [Interval] = [.seconds(15), .seconds(60), .seconds(300)]
    static let transitionsKept = 32

    package init(_ addresses: [PathAddress] = []) { add(addresses) }

    // MARK: - What there is

    package var primary: PathAddress? { primaryIndex.map { paths[$0].address } ?? paths.first?.address }
    /// Where data goes too while the primary is in doubt.
    package var second: PathAddress? {
        guard doubtSince != nil else { return nil }
        if let newcomer, index(of: newcomer) != nil { return newcomer }
        return standby.map { paths[$0].address }
    }
    package var hasAliveDirect: Bool { paths.contains { $0.isAlive && $0.address.isDirect } }
    package var smoothedRoundTrip: Interval? {
        guard let primaryIndex, paths[primaryIndex].isTimed else { return nil }
        return paths[primaryIndex].round.smoothed
    }
    /// How long an answer over the primary may take.
    var patience: Interval { primaryIndex.map { paths[$0].patience } ?? .seconds(1) }
    func isAnswered(since time: Instant) -> Bool {
        primaryIndex.flatMap { paths[$0].answeredAt }.map { $0 >= time } ?? false
    }
    package var addresses: [PathAddress] { paths.map(\.address) }

    func index(of address: PathAddress) -> Int? { paths.firstIndex { $0.address == address } }

    /// The best path beside the primary.
    var standby: Int? {
        paths.indices.filter { $0 != primaryIndex && paths[$0].isAlive }.min { isBetter($0, than: $1) }
            // What has never answered is still more than nothing: a relay that was not needed yet.
            ?? paths.indices.first { $0 != primaryIndex && paths[$0].address.isRelayed }
    }

    func isBetter(_ a: Int, than b: Int) -> Bool {
        if paths[a].tier != paths[b].tier { return paths[a].tier < paths[b].tier }
        return paths[a].round.smoothed < paths[b].round.smoothed
    }

    package mutating func add(_ addresses: [PathAddress]) {
        for address in addresses where index(of: address) == nil && !setsAside(address) {
            if paths.count >= Limits.addressesPerPeer { makeRoom() }
            guard paths.count < Limits.addressesPerPeer else { return }
            paths.append(Path(address))
        }
    }

    /// Forgets the least useful path.
    private mutating func makeRoom() {
        let worst = paths.indices.filter { $0 != primaryIndex && !paths[$0].isAlive }
            .min { (paths[$0].heardAt ?? .origin) < (paths[$1].heardAt ?? .origin) }
        if let worst { remove(worst) }
    }

    private mutating func remove(_ index: Int) {
        paths.remove(at: index)
        guard let primary = primaryIndex else { return }
        if primary == index { primaryIndex = nil } else if primary > index { primaryIndex = primary - 1 }
    }

    /// Paths that are of no use any more: a relay that this node has left.
    package mutating func withdraw(where isGone: (PathAddress) -> Bool, now: Instant) {
        var index = 0
        while index < paths.count {
            guard isGone(paths[index].address) else {
                index += 1
                continue
            }
            let wasPrimary = primaryIndex == index
            let address = paths[index].address
            remove(index)
            guard wasPrimary else { continue }
            endDoubt()
            if let best = paths.indices.filter({ paths[$0].isAlive }).min(by: { isBetter($0, than: $1) }) {
                take(best, .withdrawn, from: address, now: now)
            } else {
                // Whichever answers first.
                for index in paths.indices { paths[index].nextProbe = now }
            }
        }
    }

    // MARK: - What happens

    /// An authentic datagram came that way. `isNewest`: the peer has sent none later that came before.
    package mutating func heard(from address: PathAddress, isNewest: Bool, now: Instant) {
        if let known = index(of: address) {
            paths[known].heardAt = now
            // The peer has left the primary, perhaps, or only answers: whoever does not send much finds out this way.
            if isNewest, let primary = primaryIndex, primary != known, doubtSince == nil,
                now - (paths[primary].heardAt ?? .origin) >= PathSet.leftAfter,
                now - (paths[primary].probes.last?.sentAt ?? .origin) >= PathSet.leftAfter
            {
                paths[primary].nextProbe = now
                paths[known].nextProbe = now
            }
            return
        }
        guard isNewest, !isCrowded(address, now) else { return }
        add([address])
        guard let index = index(of: address) else { return }
        paths[index].heardAt = now
        paths[index].nextProbe = now
        guard primaryIndex != nil else { return }
        // Data goes there too from now on, for as long as the two probes take.
        newcomer = address
        heardNewAt = now
        if doubtSince == nil { beginDoubt(now) }
    }

    /// The session was made that way: both ends have heard each other on it.
    /// `isNew`: the peer has forgotten what was before.
    package mutating func established(at address: PathAddress, isNew: Bool, now: Instant) {
        add([address])
        guard let index = index(of: address) else { return }
        paths[index].heardAt = now
        paths[index].isAlive = true
        paths[index].missed = 0
        guard let primary = primaryIndex else { return take(index, .first, from: nil, now: now) }
        if primary != index, isNew || !paths[primary].isAlive || doubtSince != nil {
            take(index, .moved, from: paths[primary].address, now: now)
        }
    }

    package mutating func measured(_ roundTrip: Interval, at address: PathAddress) {
        guard let index = index(of: address) else { return }
        paths[index].round.sample(roundTrip, delay: .zero)
    }

    /// Data went out.
    package mutating func sent(now: Instant) {
        defer { sentAt = now }
        guard let primaryIndex else { return }
        let last = paths[primaryIndex].probes.last?.sentAt ?? paths[primaryIndex].answeredAt ?? .origin
        let due = max(now, last + max(PathSet.probeEvery, (smoothedRoundTrip ?? .zero) / 2))
        if (paths[primaryIndex].nextProbe ?? .distantFuture) > due { paths[primaryIndex].nextProbe = due }
        // After a long silence it is not known that the way is still open: doubt it before data is lost.
        if doubtSince == nil, now - (paths[primaryIndex].heardAt ?? .origin) >= staleAfter, standby != nil {
            beginDoubt(now)
        }
        if now - (sentAt ?? .origin) >= PathSet.activeFor, let standby { paths[standby].nextProbe = now }
        if !hasAliveDirect, punchAgain == nil { planPunch(now) }
    }

    /// A probe was answered, which arrived that way. The round trip, or `nil` if there was no such probe.
    package mutating func answered(_ token: UInt64, from address: PathAddress, now: Instant) -> Interval? {
        for index in paths.indices {
            guard let place = paths[index].probes.firstIndex(where: { $0.token == token }) else { continue }
            let probe = paths[index].probes[place]
            guard paths[index].address == address else {
                // The way there is open and the way back is another.
                paths[index].probes.remove(at: place)
                return now - probe.sentAt
            }
            paths[index].probes.removeSubrange(...place)
            paths[index].missed = 0
            paths[index].isAlive = true
            paths[index].answeredAt = now
            paths[index].answeredProbeAt = max(paths[index].answeredProbeAt, probe.sentAt)
            paths[index].heardAt = now
            paths[index].shot = nil
            if !probe.isUntimed { paths[index].round.sample(now - probe.sentAt, delay: .zero) }
            if address.isDirect { (vainPunches, punchAgain) = (0, nil) }
            decide(index, probe, now)
            // A late answer can make a path the second best one, and then it is to be taken back in its time.
            if index == standby, paths[index].nextProbe == nil, now - (sentAt ?? .origin) < PathSet.activeFor {
                paths[index].nextProbe = now + warmEvery
            }
            return now - probe.sentAt
        }
        return nil
    }

    private mutating func decide(_ index: Int, _ probe: Probe, _ now: Instant) {
        guard let primary = primaryIndex else { return take(index, .first, from: nil, now: now) }
        guard index != primary else {
            // What the peer said before it was heard elsewhere says nothing of where it is.
            if heardNewAt.map({ probe.sentAt >= $0 }) ?? true { endDoubt() }
            return
        }
        let old = paths[primary].address
        if !paths[primary].isAlive { return take(index, .silent, from: old, now: now) }
        if hasMoved(to: index) { return take(index, .moved, from: old, now: now) }
        if isLost(primary), let doubtSince, probe.sentAt >= doubtSince { return fail(primary, for: index, now) }
        guard now >= paths[index].barredUntil else { return }
        if paths[index].tier < paths[primary].tier { return take(index, .better, from: old, now: now) }
        guard paths[index].tier == paths[primary].tier, paths[index].isTimed, paths[primary].isTimed else { return }
        let mine = paths[index].round, its = paths[primary].round
        // A difference that is less than what the present one varies by is chance.
        let least = max(.milliseconds(5), its.variation)
        let isFaster = mine.smoothed * 5 < its.smoothed * 4 && its.smoothed - mine.smoothed >= least
        paths[index].timesFaster = isFaster ? paths[index].timesFaster + 1 : 0
        if paths[index].timesFaster >= 3 { take(index, .faster, from: old, now: now) }
    }

    /// The peer is there and no more here: both were probed since it was heard there.
    private func hasMoved(to index: Int) -> Bool {
        guard let heardNewAt, let newcomer, paths[index].address == newcomer, let primary = primaryIndex,
            primary != index, paths[index].tier <= paths[primary].tier
        else { return false }
        return paths[index].answeredProbeAt >= heardNewAt && paths[primary].missedProbeAt >= heardNewAt
            && paths[primary].answeredProbeAt < heardNewAt
    }

    func isLost(_ index: Int) -> Bool { paths[index].missed >= PathSet.missedLimit }

    private mutating func fail(_ primary: Int, for index: Int, _ now: Instant) {
        if isSettling(now) { shootAgain(primary, now) } else { bar(primary, now) }
        take(index, .silent, from: paths[primary].address, now: now)
    }

    mutating func take(_ index: Int, _ cause: Cause, from old: PathAddress?, now: Instant) {
        let took = cause == .silent || cause == .moved ? lengthOfDoubt(now) : nil
        primaryIndex = index
        paths[index].timesFaster = 0
        endDoubt()
        if transitions.count >= PathSet.transitionsKept { transitions.removeFirst() }
        transitions.append(Transition(at: now, from: old, to: paths[index].address, cause: cause, took: took))
        untold += 1
        // Another may have been left for silence: see soon whether it is back.
        if cause == .silent || cause == .debug { punchAgain = now + PathSet.punchWaits[0] }
        if let standby, paths[standby].nextProbe == nil { paths[standby].nextProbe = now }
    }

    /// Transitions since the last call.
    package mutating func takeNews() -> ArraySlice<Transition> {
        defer { untold = 0 }
        return transitions.suffix(untold)
    }

    // MARK: - Doubt

    /// On a line that is full, round trips are long, and probes that came faster than they would only fill it further.
    private var doubtEvery: Interval {
        min(max(PathSet.doubtEvery, (smoothedRoundTrip ?? .zero) / 3), .milliseconds(500))
    }

    private mutating func beginDoubt(_ now: Instant) {
        guard doubtSince == nil else { return }
        doubtSince = now
        doubtProbes = 0
        probeAll(now)
    }

    private mutating func endDoubt() {
        doubtSince = nil
        newcomer = nil
        heardNewAt = nil
        doubtProbes = 0
    }

    /// The primary and whatever could replace it.
    private mutating func probeAll(_ now: Instant) {
        for index in paths.indices where index == primaryIndex || paths[index].isAlive || paths[index].address.isRelayed
        {
            paths[index].nextProbe = now
        }
    }

    /// No path has answered since the doubt began, and one would have.
    func isDeaf(_ now: Instant) -> Bool {
        guard let doubtSince, now - doubtSince >= patience else { return false }
        return !paths.contains { ($0.answeredAt ?? .origin) >= doubtSince }
    }

    // MARK: - Time

    /// Probes that are due, each with the way it goes, at most `limit`; what is more waits. Their tokens count from
    /// `firstToken`.
    package mutating func takeProbes(
        now: Instant, limit: Int, firstToken: UInt64
    ) -> [(address: PathAddress, token: UInt64)] {
        settle(now)
        var due: [(PathAddress, UInt64)] = []
        for index in paths.indices {
            guard let at = paths[index].nextProbe, at <= now else { continue }
            guard due.count < limit else {
                paths[index].nextProbe = now + PathSet.probeEvery
                continue
            }
            let number = firstToken &+ UInt64(due.count)
            if paths[index].probes.count >= 16 { paths[index].probes.removeFirst() }
            paths[index].probes.append(Probe(token: number, sentAt: now))
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
        consider(punchAgain)
        consider(punchOwedAt)
        for index in paths.indices {
            consider(paths[index].nextProbe)
            if index == primaryIndex, let probe = paths[index].probes.first(where: { !$0.isMissed }) {
                consider(probe.sentAt + paths[index].patience)
            }
        }
        return earliest
    }

    private mutating func settle(_ now: Instant) {
        if let owed = punchOwedAt, owed <= now { punch(isBrief: shotLimit < PathSet.shots.count, now: now) }
        if let again = punchAgain, again <= now {
            punchAgain = nil
            if !hasAliveDirect, keepsWarm != nil || now - (sentAt ?? .origin) < PathSet.activeFor {
                vainPunches += 1
                punch(isBrief: shotLimit < PathSet.shots.count, now: now)
                if keepsWarm != nil { planPunch(now) }
            }
        }
        for index in paths.indices { miss(index, now) }
        guard let primary = primaryIndex, paths[primary].missed > 0 else { return }
        if let newcomer, let index = index(of: newcomer), hasMoved(to: index) {
            return take(index, .moved, from: paths[primary].address, now: now)
        }
        if doubtSince == nil { beginDoubt(now) }
        // What the other path has answered before the last probe was lost counts as well.
        if isLost(primary), let doubtSince,
            let other = paths.indices.first(where: {
                $0 != primary && paths[$0].isAlive && (paths[$0].answeredAt ?? .origin) > doubtSince
            })
        {
            fail(primary, for: other, now)
        }
    }

    private mutating func miss(_ index: Int, _ now: Instant) {
        let patience = paths[index].patience
        for place in paths[index].probes.indices {
            let probe = paths[index].probes[place]
            guard !probe.isMissed, now - probe.sentAt >= patience else { continue }
            paths[index].probes[place].isMissed = true
            paths[index].missedProbeAt = max(paths[index].missedProbeAt, probe.sentAt)
            paths[index].missed += 1
        }
        if index != primaryIndex, paths[index].missed >= PathSet.missedLimit { paths[index].isAlive = false }
    }

    /// When that path is probed next, after one went out just now.
    private mutating func schedule(_ index: Int, _ now: Instant) {
        paths[index].nextProbe = nil
        if let shot = paths[index].shot {
            if shot + 1 < shotLimit {
                paths[index].nextProbe = now + .milliseconds(PathSet.shots[shot + 1] - PathSet.shots[shot])
                paths[index].shot = shot + 1
            } else {
                paths[index].shot = nil
            }
            return
        }
        guard primaryIndex != nil else {
            // Whichever answers first; the way may not be there yet.
            paths[index].nextProbe = now + (paths[index].probes.count < 16 ? PathSet.probeEvery : .seconds(1))
            return
        }
        let isActive = now - (sentAt ?? .origin) < PathSet.activeFor
        if doubtSince != nil, index == primaryIndex || paths[index].isAlive || !paths[index].address.isDirect {
            doubtProbes += 1
            if doubtProbes == PathSet.probesBeforeTCP { tryTCP(now) }
            // A second of it, and then more slowly: nothing answers.
            var wait = doubtProbes < 60 ? doubtEvery : doubtProbes < 120 ? .milliseconds(250) : .seconds(1)
            // The two that count, and of the rest enough to know that they are there.
            if index != primaryIndex, index != standby { wait = max(wait, PathSet.restEvery) }
            if isActive || doubtProbes < 120 { paths[index].nextProbe = now + wait }
        } else if index != primaryIndex, paths[index].address.isRelayed, !hasAliveDirect,
            paths[index].comparisons < PathSet.comparisonLimit
        {
            paths[index].comparisons += 1
            paths[index].nextProbe = now + PathSet.compareEvery
        } else if index == primaryIndex, let keepsWarm {
            paths[index].nextProbe = now + wait(index, keepsWarm)
        } else if index != primaryIndex, isActive, index == standby {
            paths[index].nextProbe = now + warmEvery
        }
    }
}
