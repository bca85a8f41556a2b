/// How far a misspelled word is from a known one, for suggestions in error messages.
package enum EditDistance {
    /// The known word that is nearest to `word`, if one is near: at most a third of its letters differ. Upper and lower
    /// case are the same.
    package static func nearest(to word: String, in known: [String]) -> String? {
        let scored = known.map { (word: $0, distance: between(word.lowercased(), $0.lowercased())) }
        guard let best = scored.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else { return nil }
        return best.distance <= max(1, best.word.count / 3) ? best.word : nil
    }

    /// Levenshtein's distance of the first 64 characters, with neighbours that changed places counted once (optimal
    /// string alignment).
    package static func between(_ a: String, _ b: String) -> Int {
        let a = Array(a.prefix(64)), b = Array(b.prefix(64))
        guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
        var older = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [i] + [Int](repeating: 0, count: b.count)
            for j in 1...b.count {
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], older[j - 2] + 1) }
            }
            (older, last) = (last, row)
        }
        return last[b.count]
    }
}
