import Base
import Wire

// A path over two relays becomes one over one of them.

extension PathSet {
    /// Something alive leads to the peer, and it is not that all has fallen silent.
    func isWell(_ now: Instant) -> Bool { paths.contains(where: \.isAlive) && !isDeaf(now) }

    /// `new` is the same way as `old`, but for its beginning, which is known to be open: what is true of the one is taken to
    /// be true of the other, until a probe says more.
    mutating func replace(_ old: PathAddress, by new: PathAddress, now: Instant) {
        guard let before = index(of: old) else { return }
        let wasAlive = paths[before].isAlive
        add([new])
        if let index = index(of: new), let before = self.index(of: old) {
            paths[index].nextProbe = now
            if wasAlive {
                paths[index].isAlive = true
                paths[index].heardAt = paths[index].heardAt ?? now
                if before == primaryIndex { take(index, .withdrawn, from: old, now: now) }
            }
        }
        withdraw(where: { $0 == old }, now: now)
    }
}
