import Base
import Wire

/// The paths to one peer, in the order in which they became known, and which of them is the primary. It decides which path is
/// better than another; `PathSet` decides when to change.
struct PathTable: RandomAccessCollection, Sendable {
    private var paths: [Path] = []
    private(set) var primaryIndex: Int?

    /// If so many ports of one host are in use, one more port does not count as a move.
    static let portsOfHost = 4
    /// In use: datagrams were received within this time.
    private static let crowdedFor = Interval.seconds(1)

    var startIndex: Int { 0 }
    var endIndex: Int { paths.count }
    subscript(index: Int) -> Path {
        get { paths[index] }
        _modify { yield &paths[index] }
    }

    func index(of address: PathAddress) -> Int? { paths.firstIndex { $0.address == address } }
    var hasAliveDirect: Bool { paths.contains { $0.isAlive && $0.address.isDirect } }

    // MARK: - Which is better

    func isBetter(_ a: Int, than b: Int) -> Bool {
        if paths[a].tier != paths[b].tier { return paths[a].tier < paths[b].tier }
        return paths[a].round.smoothed < paths[b].round.smoothed
    }

    /// The best path that answers, of those that `isMeant` names by their position.
    func bestAlive(where isMeant: (Int) -> Bool = { _ in true }) -> Int? {
        paths.indices.filter { isMeant($0) && paths[$0].isAlive }.min { isBetter($0, than: $1) }
    }

    /// The best path other than the primary.
    var standby: Int? {
        bestAlive { $0 != primaryIndex }
            // A path that has never answered is better than none: a relay that was not needed yet.
            ?? paths.indices.first { $0 != primaryIndex && paths[$0].address.isRelayed }
    }

    /// The best live path of a kind, else one over a relay, which may not have been tried yet.
    func best(where isMeant: (PathAddress) -> Bool) -> Int? {
        bestAlive { isMeant(paths[$0].address) }
            ?? paths.indices.first { isMeant(paths[$0].address) && paths[$0].address.isRelayed }
    }

    /// Datagrams of the peer come from so many ports of a host at the same time, as when port prediction has opened a dozen
    /// at once, that one more does not count as a move.
    func isCrowded(_ address: PathAddress, _ now: Instant) -> Bool {
        guard address.isDirect else { return false }
        return paths.count {
            $0.address.isDirect && $0.address.remote.ip == address.remote.ip
                && now - ($0.receivedAt ?? .origin) < PathTable.crowdedFor
        } >= PathTable.portsOfHost
    }

    // MARK: - Changes

    /// Makes a path the primary.
    mutating func select(_ index: Int) {
        primaryIndex = index
        paths[index].selected()
    }

    /// Adds a path, and removes the least useful one where there are too many. False where all are useful.
    mutating func append(_ address: PathAddress) -> Bool {
        if paths.count >= Limits.addressesPerPeer { makeRoom() }
        guard paths.count < Limits.addressesPerPeer else { return false }
        paths.append(Path(address))
        return true
    }

    private mutating func makeRoom() {
        let worst = paths.indices.filter { $0 != primaryIndex && !paths[$0].isAlive }
            .min { (paths[$0].receivedAt ?? .origin) < (paths[$1].receivedAt ?? .origin) }
        if let worst { remove(worst) }
    }

    mutating func remove(_ index: Int) {
        paths.remove(at: index)
        guard let primary = primaryIndex else { return }
        if primary == index { primaryIndex = nil } else if primary > index { primaryIndex = primary - 1 }
    }

    // MARK: - Probes of several paths

    /// Probes all paths of a kind at once.
    mutating func probe(at time: Instant, where isMeant: (Path) -> Bool = { _ in true }) {
        for index in paths.indices where isMeant(paths[index]) { paths[index].probe(at: time) }
    }

    /// Probes paths over TCP. No connection is kept for a path that is not needed; making one takes a round trip.
    mutating func tryTCP(_ now: Instant) {
        for index in paths.indices where paths[index].address.isTCP { paths[index].probeUnlessPlanned(at: now) }
    }

    /// Probes relays that were never tried.
    mutating func tryRelays(_ now: Instant) {
        for index in paths.indices where paths[index].address.isRelayed && paths[index].answeredAt == nil {
            paths[index].probeUnlessPlanned(at: now)
        }
    }

    /// Begins to punch all paths that do not answer.
    mutating func punch(_ now: Instant) {
        for index in paths.indices where !paths[index].isAlive { paths[index].punch(now) }
    }
}
