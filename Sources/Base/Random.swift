/// Deterministic generator for jitter, choices and simulated faults: xoshiro256** (Blackman and Vigna, 2018). Not for
/// secrets; those come from `Noise.KeyGenerator`. Integers only, so that a seed gives one timeline on every machine.
package struct Random: Sendable {
    private var s0, s1, s2, s3: UInt64

    package init(_ seed: Seed) {
        (s0, s1, s2, s3) = seed.words
        // The all-zero state is the one fixed point of the generator.
        if s0 | s1 | s2 | s3 == 0 { s0 = 1 }
    }

    package mutating func next() -> UInt64 {
        let result = rotate(s1 &* 5, 7) &* 9
        let t = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = rotate(s3, 45)
        return result
    }

    /// Uniform in `0 ..< bound` (Lemire's multiplication method). `bound` must not be zero.
    package mutating func next(below bound: UInt64) -> UInt64 {
        precondition(bound > 0, "next(below: 0)")
        var product = next().multipliedFullWidth(by: bound)
        if product.low < bound {
            let threshold = (0 &- bound) % bound
            while product.low < threshold { product = next().multipliedFullWidth(by: bound) }
        }
        return product.high
    }

    package mutating func next(in range: ClosedRange<Int64>) -> Int64 {
        let span = UInt64(bitPattern: range.upperBound &- range.lowerBound)
        if span == .max { return Int64(bitPattern: next()) }
        return range.lowerBound &+ Int64(bitPattern: next(below: span + 1))
    }

    package mutating func index(below count: Int) -> Int { Int(next(below: UInt64(count))) }

    /// True `numerator` times out of `denominator`.
    package mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        next(below: denominator) < numerator
    }

    /// `base` changed by at most `percent` per cent up or down.
    package mutating func jittered(_ base: Interval, percent: Int64) -> Interval {
        let reach = base.nanoseconds / 100 * percent
        return reach <= 0 ? base : Interval(nanoseconds: base.nanoseconds + next(in: -reach...reach))
    }

    package mutating func interval(in range: ClosedRange<Interval>) -> Interval {
        Interval(nanoseconds: next(in: range.lowerBound.nanoseconds...range.upperBound.nanoseconds))
    }

    /// Fisher-Yates.
    package mutating func shuffle<Element>(_ array: inout [Element]) {
        guard array.count > 1 else { return }
        for last in stride(from: array.count - 1, to: 0, by: -1) { array.swapAt(last, index(below: last + 1)) }
    }

    /// A separate generator for a part, so that one part's draws do not change another's.
    package mutating func split() -> Random { Random(Seed(next(), next(), next(), next())) }

    private func rotate(_ x: UInt64, _ by: UInt64) -> UInt64 { (x << by) | (x >> (64 - by)) }
}
