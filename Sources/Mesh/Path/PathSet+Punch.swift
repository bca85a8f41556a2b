package import Base
import Wire

// First shots at paths that were never open.

extension PathSet {
    /// Tries all direct candidates: datagrams from both ends at the same time open both ends' translators. `isBrief`: it is
    /// not expected to help.
    package mutating func punch(isBrief: Bool = false, now: Instant) {
        shotLimit = isBrief ? PathSet.briefShots : PathSet.shots.count
        // Whoever is told new candidates all the time does not begin anew each time.
        guard now - (punchedAt ?? .origin) >= PathSet.punchEvery else {
            punchAgain = min(punchAgain ?? .distantFuture, now + PathSet.punchEvery)
            return
        }
        punchedAt = now
        for index in paths.indices where paths[index].address.isDirect && !paths[index].isAlive {
            paths[index].shot = 0
            paths[index].nextProbe = now
        }
        if primary?.isRelayed ?? false { tryTCP(now) }
        tryRelays(now: now)
        punchAgain = nil
    }

    /// Half a second of them: who can be reached at all mostly answers within it.
    static let briefShots = 3

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
