import DequeModule

/// A set of numbers as ascending, disjoint ranges that do not touch: packet numbers received, offsets acknowledged,
/// lost or present. Operations at the upper end cost O(1), elsewhere O(log n) and the move of at most half of the ranges.
struct NumberRanges: Sendable {
    private(set) var ranges: Deque<Range<UInt64>> = []

    var isEmpty: Bool { ranges.isEmpty }
    var count: Int { ranges.count }
    var first: Range<UInt64>? { ranges.first }
    var last: Range<UInt64>? { ranges.last }

    func contains(_ number: UInt64) -> Bool {
        guard let last = ranges.last, number < last.upperBound else { return false }
        if number >= last.lowerBound { return true }
        let index = indexOfFirst(endingAtOrAfter: number + 1)
        return ranges[index].lowerBound <= number
    }

    /// By how many ranges `insert` would make the set longer: 1, 0, or less.
    func growth(inserting range: Range<UInt64>) -> Int {
        guard !range.isEmpty else { return 0 }
        guard let last = ranges.last, range.lowerBound <= last.upperBound else { return 1 }
        if range.lowerBound >= last.lowerBound { return 0 }
        let start = indexOfFirst(endingAtOrAfter: range.lowerBound)
        var end = start
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound { end += 1 }
        return 1 - (end - start)
    }

    mutating func insert(_ range: Range<UInt64>) {
        guard !range.isEmpty else { return }
        guard let last = ranges.last, range.lowerBound <= last.upperBound else {
            ranges.append(range)
            return
        }
        if range.lowerBound >= last.lowerBound {
            if range.upperBound > last.upperBound { ranges[ranges.count - 1] = last.lowerBound..<range.upperBound }
            return
        }
        let start = indexOfFirst(endingAtOrAfter: range.lowerBound)
        var end = start
        var merged = range
        while end < ranges.count, ranges[end].lowerBound <= range.upperBound {
            let old = ranges[end]
            merged = min(merged.lowerBound, old.lowerBound)..<max(merged.upperBound, old.upperBound)
            end += 1
        }
        if end == start {
            ranges.insert(merged, at: start)
        } else {
            ranges[start] = merged
            if end > start + 1 { ranges.removeSubrange(start + 1..<end) }
        }
    }

    mutating func remove(_ range: Range<UInt64>) {
        guard !range.isEmpty, let last = ranges.last, range.lowerBound < last.upperBound else { return }
        var index = indexOfFirst(endingAtOrAfter: range.lowerBound + 1)
        while index < ranges.count, ranges[index].lowerBound < range.upperBound {
            let old = ranges[index]
            let before = old.lowerBound..<max(old.lowerBound, min(range.lowerBound, old.upperBound))
            let after = min(old.upperBound, max(range.upperBound, old.lowerBound))..<old.upperBound
            switch (before.isEmpty, after.isEmpty) {
            case (true, true): ranges.remove(at: index)
            case (false, true):
                ranges[index] = before
                index += 1
            case (true, false):
                ranges[index] = after
                return
            case (false, false):
                ranges[index] = before
                ranges.insert(after, at: index + 1)
                return
            }
        }
    }

    /// Removes and returns at most `count` numbers from the lower end, all of one range.
    mutating func takeFirst(_ count: UInt64) -> Range<UInt64>? {
        guard let first = ranges.first else { return nil }
        let end = first.upperBound - first.lowerBound <= count ? first.upperBound : first.lowerBound + count
        removeBelow(end)
        return first.lowerBound..<end
    }

    /// Removes every number below `bound`.
    mutating func removeBelow(_ bound: UInt64) {
        while let first = ranges.first, first.lowerBound < bound {
            if first.upperBound > bound {
                ranges[0] = bound..<first.upperBound
                return
            }
            ranges.removeFirst()
        }
    }

    mutating func removeAll() { ranges.removeAll() }

    /// Of the parts of `range` that are not in the set, calls `body` with each, ascending.
    func forEachGap(in range: Range<UInt64>, _ body: (Range<UInt64>) -> Void) {
        var start = range.lowerBound
        if let last = ranges.last, start < last.upperBound {
            var index = indexOfFirst(endingAtOrAfter: start + 1)
            while index < ranges.count, ranges[index].lowerBound < range.upperBound {
                if ranges[index].lowerBound > start { body(start..<ranges[index].lowerBound) }
                start = max(start, ranges[index].upperBound)
                index += 1
            }
        }
        if start < range.upperBound { body(start..<range.upperBound) }
    }

    private func indexOfFirst(endingAtOrAfter number: UInt64) -> Int {
        var low = 0, high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
