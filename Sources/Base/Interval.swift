/// A length of time in nanoseconds; may be negative.
package struct Interval: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    package var magnitude: Interval { nanoseconds < 0 ? Interval(nanoseconds: -nanoseconds) : self }

    @inlinable
    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let zero = Interval(nanoseconds: 0)
    @inlinable
    package static func nanoseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count) }
    @inlinable
    package static func microseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count * 1000) }
    @inlinable
    package static func milliseconds(_ count: Int64) -> Interval { Interval(nanoseconds: count * 1_000_000) }
    @inlinable
    package static func seconds(_ count: Int64) -> Interval { Interval(nanoseconds: count * 1_000_000_000) }
    @inlinable
    package static func minutes(_ count: Int64) -> Interval { .seconds(count * 60) }

    /// Whole milliseconds, rounded towards zero.
    @inlinable
    package var milliseconds: Int64 { nanoseconds / 1_000_000 }
    /// Whole seconds, rounded towards zero.
    @inlinable
    package var seconds: Int64 { nanoseconds / 1_000_000_000 }

    @inlinable
    package static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable
    package static func + (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds + b.nanoseconds)
    }
    @inlinable
    package static func - (a: Interval, b: Interval) -> Interval {
        Interval(nanoseconds: a.nanoseconds - b.nanoseconds)
    }
    @inlinable
    package static func * (a: Interval, factor: Int64) -> Interval { Interval(nanoseconds: a.nanoseconds * factor) }
    @inlinable
    package static func / (a: Interval, divisor: Int64) -> Interval { Interval(nanoseconds: a.nanoseconds / divisor) }
}

extension Interval: CustomStringConvertible {
    package var description: String {
        let magnitude = nanoseconds.magnitude
        if magnitude >= 1_000_000_000 { return "\(Interval.decimal(nanoseconds, 1_000_000_000)) s" }
        if magnitude >= 1_000_000 { return "\(Interval.decimal(nanoseconds, 1_000_000)) ms" }
        if magnitude >= 1000 { return "\(Interval.decimal(nanoseconds, 1000)) us" }
        return "\(nanoseconds) ns"
    }

    /// `value / unit` with up to three decimals, by integer arithmetic.
    private static func decimal(_ value: Int64, _ unit: Int64) -> String {
        let sign = value < 0 ? "-" : ""
        let magnitude = value.magnitude, unit = unit.magnitude
        let whole = magnitude / unit, thousandths = magnitude % unit * 1000 / unit
        if thousandths == 0 { return "\(sign)\(whole)" }
        var fraction = String(1000 + thousandths).dropFirst()
        while fraction.last == "0" { fraction.removeLast() }
        return "\(sign)\(whole).\(fraction)"
    }
}
