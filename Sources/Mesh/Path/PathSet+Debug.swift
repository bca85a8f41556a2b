package import Base
package import Wire

// What people want of paths for a while, to see what comes of it (`asterism debug`), and how long a doubt has lasted.

extension PathSet {
    /// Only relays are made use of.
    package var isRelayOnly: Bool { setAside != nil }

    /// Whether a direct address is kept for later instead.
    mutating func setsAside(_ address: PathAddress) -> Bool {
        guard let known = setAside, !address.isRelayed else { return false }
        if !known.contains(address), known.count < Limits.addressesPerPeer { setAside?.append(address) }
        return true
    }

    /// With `isOn`, neither data nor probes go directly, and an address from which the peer is heard directly is no path;
    /// what is known of direct addresses is kept, and tried again when it is over.
    package mutating func relayOnly(_ isOn: Bool, now: Instant) {
        if !isOn {
            guard let direct = setAside else { return }
            setAside = nil
            add(direct)
            return punch(now: now)
        }
        guard setAside == nil else { return }
        if let primaryIndex, !paths[primaryIndex].address.isRelayed, let relay = best(where: \.isRelayed) {
            take(relay, .debug, from: paths[primaryIndex].address, now: now)
        }
        setAside = paths.map(\.address).filter { !$0.isRelayed }
        withdraw(where: { !$0.isRelayed }, now: now)
        tryRelays(now: now)
    }

    /// Treats a path as one that has fallen silent: data leaves it at once, and it is not taken back for a while. False if
    /// there is no such path, or no other that could be used instead.
    package mutating func drop(_ address: PathAddress, now: Instant) -> Bool {
        guard let dropped = index(of: address) else { return false }
        guard dropped == primaryIndex else {
            bar(dropped, now)
            return true
        }
        guard let other = best(where: { $0 != address }) else { return false }
        bar(dropped, now)
        take(other, .debug, from: address, now: now)
        // It may never have been tried.
        paths[other].nextProbe = now
        return true
    }

    /// A path that has failed is not taken back for a while, each time for twice as long.
    mutating func bar(_ index: Int, _ now: Instant) {
        paths[index].isAlive = false
        paths[index].shot = nil
        paths[index].bar = min(max(paths[index].bar * 2, .seconds(30)), .minutes(10))
        paths[index].barredUntil = now + paths[index].bar
    }

    /// The best path of a kind that is alive, else one by a relay, which need not have been tried yet.
    private func best(where isMeant: (PathAddress) -> Bool) -> Int? {
        let meant = paths.indices.filter { isMeant(paths[$0].address) }
        return meant.filter { paths[$0].isAlive }.min { isBetter($0, than: $1) }
            ?? meant.first { paths[$0].address.isRelayed }
    }

    /// Probes the primary at once: its answer says how this node is seen now.
    mutating func ask(now: Instant) {
        if let primaryIndex { paths[primaryIndex].nextProbe = now }
    }

    /// Since the first probe of the primary that is still unanswered, or since doubt began where that was before; `nil`
    /// where there is none.
    func lengthOfDoubt(_ now: Instant) -> Interval? {
        guard let doubtSince else { return nil }
        let lost = primaryIndex.flatMap { paths[$0].probes.first(where: \.isMissed)?.sentAt }
        return now - min(doubtSince, lost ?? doubtSince)
    }
}
