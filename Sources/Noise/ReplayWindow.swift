/// # The replay window
///
/// A window over the last 8192 counters, after RFC 6479: a ring of words, one bit a counter, which is never shifted.
/// When a counter goes beyond the highest so far, the words up to it are cleared. The ring has one word more than the
/// window needs, so that the window's last word is complete for every position of the highest counter.
///
/// `accept` must be called after authentication. Before that, `wouldAccept` may save the cost of opening.
package struct ReplayWindow: ~Copyable, @unchecked Sendable {
    /// How far behind the highest counter one is still accepted, in counters.
    package static let size: UInt64 = 8192

    private static let wordCount: UInt64 = size / 64 + 1
    /// Made with the first counter: most sessions of a large fleet never carry a packet.
    private var words: UnsafeMutablePointer<UInt64>?
    /// The highest counter accepted; undefined before the first.
    private var highest: UInt64 = 0
    /// Counters below this are too old, independently of the window.
    private var floor: UInt64 = 0

    package init() {}

    deinit { words?.deallocate() }

    /// Whether the counter is new and not too old.
    package func wouldAccept(_ counter: UInt64) -> Bool {
        if counter > highest { return true }
        guard counter >= floor, highest - counter < ReplayWindow.size else { return false }
        guard let words else { return true }
        return words[slot(counter)] & bit(counter) == 0
    }

    /// Returns true once for each counter that is not older than the window.
    package mutating func accept(_ counter: UInt64) -> Bool {
        guard wouldAccept(counter) else { return false }
        let words = self.words ?? make()
        if counter > highest {
            let from = highest / 64, to = counter / 64
            if to - from >= ReplayWindow.wordCount {
                words.update(repeating: 0, count: Int(ReplayWindow.wordCount))
            } else if to > from {
                for word in from + 1...to { words[Int(word % ReplayWindow.wordCount)] = 0 }
            }
            highest = counter
        }
        words[slot(counter)] |= bit(counter)
        return true
    }

    /// Discards the record of earlier counters: none of them is accepted any more. For a peer that was silent for so
    /// long that no earlier datagram can still arrive.
    package mutating func rest() {
        guard let words else { return }
        words.deallocate()
        self.words = nil
        floor = highest + 1
    }

    private mutating func make() -> UnsafeMutablePointer<UInt64> {
        let new = UnsafeMutablePointer<UInt64>.allocate(capacity: Int(ReplayWindow.wordCount))
        new.initialize(repeating: 0, count: Int(ReplayWindow.wordCount))
        words = new
        return new
    }

    private func slot(_ counter: UInt64) -> Int { Int(counter / 64 % ReplayWindow.wordCount) }
    private func bit(_ counter: UInt64) -> UInt64 { 1 << (counter % 64) }
}
