package import Base
package import Wire

// First shots at paths that were never open.

extension PathSet {
    /// Where first messages of a handshake go. As long as no path is known, everywhere; later to where data goes, and
    /// from the second attempt on everywhere again.
    package func targets(attempt: Int) -> [PathAddress] {
        // TCP is for where UDP does not answer, so UDP has a quarter of a second's start. To a relay there is a connection.
        let others = paths.filter { !$0.address.isTCP || $0.address.isRelayed || $0.isAlive }.map(\.address)
        if primaryIndex == nil, attempt == 0 { return others.isEmpty ? addresses : others }
        guard let primary = primaryIndex, attempt < 2 else { return addresses }
        if attempt == 1 { return others }
        return [paths[primary].address] + (standby.map { [paths[$0].address] } ?? [])
    }

    /// Tries all direct candidates: datagrams from both ends at the same time open both ends' translators. `isBrief`: it is
    /// not expected to help.
    package mutating func punch(isBrief: Bool = false, now: Instant) {
        shotLimit = isBrief ? PathSet.briefShots : PathSet.shots.count
        // Whoever is told new candidates all the time does not begin anew each time.
        if let last = punchedAt, now - last < PathSet.punchEvery { return punchOwedAt = last + PathSet.punchEvery }
        (punchedAt, punchOwedAt) = (now, nil)
        for index in paths.indices where !paths[index].isAlive { shoot(index, now) }
        if primary?.isRelayed ?? false { tryTCP(now) }
        tryRelays(now: now)
        punchAgain = nil
    }

    /// Half a second of them: who can be reached at all mostly answers within it.
    static let briefShots = 3

    /// This node is elsewhere than it was, or is seen elsewhere. That a path has failed says nothing of it any more.
    package mutating func moved(now: Instant) {
        movedAt = now
        for index in paths.indices {
            (paths[index].bar, paths[index].barredUntil) = (.zero, .origin)
            // That they once answered says nothing either. The one in use is found out about by itself.
            if index != primaryIndex, paths[index].address.isDirect { paths[index].isAlive = false }
        }
    }

    /// The node has moved and the peer may not know of it yet: its translator lets nothing in from there until it has sent
    /// something there itself.
    func isSettling(_ now: Instant) -> Bool { movedAt.map { now - $0 < PathSet.settledAfter } ?? false }

    private static let settledAfter = Interval.seconds(5)

    /// It is silent for now, and no worse for it.
    mutating func shootAgain(_ index: Int, _ now: Instant) {
        paths[index].isAlive = false
        shoot(index, now)
    }

    /// Begins with the schedule of first shots, where that is of use.
    private mutating func shoot(_ index: Int, _ now: Instant) {
        guard paths[index].address.isDirect else { return }
        paths[index].shot = 0
        paths[index].nextProbe = now
    }

    /// From so many of a host's ports the peer is heard all the time, as when guessing them has opened a dozen at once: one
    /// more is no move.
    func isCrowded(_ address: PathAddress, _ now: Instant) -> Bool {
        guard address.isDirect else { return false }
        return paths.count {
            $0.address.isDirect && $0.address.remote.ip == address.remote.ip
                && now - ($0.heardAt ?? .origin) < PathSet.crowdedFor
        } >= PathSet.portsOfHost
    }

    static let portsOfHost = 4
    /// "All the time".
    private static let crowdedFor = Interval.seconds(1)

    mutating func planPunch(_ now: Instant) {
        guard paths.contains(where: \.address.isDirect) else { return }
        punchAgain = now + PathSet.punchWaits[min(vainPunches, PathSet.punchWaits.count - 1)]
    }

    /// Nobody keeps a connection for a path that is not needed; when it is, it takes a round trip to be there.
    mutating func tryTCP(_ now: Instant) {
        for index in paths.indices where paths[index].address.isTCP && paths[index].nextProbe == nil {
            paths[index].nextProbe = now
        }
    }

    /// A leg is bound (anew): what goes through it can be answered from now on.
    mutating func bound(_ near: UInt32, now: Instant) {
        for index in paths.indices where paths[index].address.uses(leg: near) && !paths[index].isAlive {
            paths[index].nextProbe = now
        }
    }

    /// Probes relays that were never tried.
    package mutating func tryRelays(now: Instant) {
        for index in paths.indices where paths[index].address.isRelayed && paths[index].answeredAt == nil {
            paths[index].nextProbe = paths[index].nextProbe ?? now
        }
    }
}
