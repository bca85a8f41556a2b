/// # Time as a value
///
/// Nothing in the pure targets can ask for the time. A driver (the daemon's pump, the simulator) reads its clock once a
/// batch and hands the result in as an `Instant`; anyone who wants to be woken says so with a `Deadline`, which carries the
/// reason, because a loop that spins must be able to say why.

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

/// A point on the monotonic clock: nanoseconds since an origin that only the driver knows.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let origin = Instant(nanoseconds: 0)
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    /// Saturates at the origin and at the distant future, so that arithmetic on limits never traps.
    @inlinable
    package static func + (a: Instant, b: Interval) -> Instant {
        if b.nanoseconds >= 0 {
            let (sum, overflow) = a.nanoseconds.addingReportingOverflow(UInt64(b.nanoseconds))
            return overflow ? .distantFuture : Instant(nanoseconds: sum)
        }
        let magnitude = b.nanoseconds.magnitude
        return a.nanoseconds < magnitude ? .origin : Instant(nanoseconds: a.nanoseconds - magnitude)
    }
    @inlinable
    package static func - (a: Instant, b: Interval) -> Instant { a + Interval(nanoseconds: -b.nanoseconds) }
    /// Saturates at the ends of `Interval`.
    @inlinable
    package static func - (a: Instant, b: Instant) -> Interval {
        if a >= b { return Interval(nanoseconds: Int64(clamping: a.nanoseconds - b.nanoseconds)) }
        return Interval(nanoseconds: -Int64(clamping: b.nanoseconds - a.nanoseconds))
    }
}

extension Instant: CustomStringConvertible {
    package var description: String { Interval(nanoseconds: Int64(clamping: nanoseconds)).description }
}

/// When a state machine wants its next `tick`, and why.
package struct Deadline: Hashable, Sendable {
    package var at: Instant
    package var reason: String

    package init(_ at: Instant, _ reason: String) {
        self.at = at
        self.reason = reason
    }

    /// The earlier of the two; `nil` never comes.
    package static func earliest(_ a: Deadline?, _ b: Deadline?) -> Deadline? {
        guard let a else { return b }
        guard let b else { return a }
        return b.at < a.at ? b : a
    }
}

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z. Used for certificates, records and display, never for
/// protocol timers.
package struct UnixTime: Hashable, Comparable, Sendable, Codable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }
    package init(seconds: Int64) { self.milliseconds = seconds * 1000 }

    package var seconds: Int64 { milliseconds / 1000 }

    package static func < (a: UnixTime, b: UnixTime) -> Bool { a.milliseconds < b.milliseconds }
    package static func + (a: UnixTime, b: Interval) -> UnixTime {
        UnixTime(milliseconds: a.milliseconds + b.milliseconds)
    }
    package static func - (a: UnixTime, b: UnixTime) -> Interval { .milliseconds(a.milliseconds - b.milliseconds) }

    package init(from decoder: any Decoder) throws {
        self.init(milliseconds: try decoder.singleValueContainer().decode(Int64.self))
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }
}

extension UnixTime: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, e.g. `2026-11-22T20:29:48.120Z`.
    package var description: String {
        let days = milliseconds.flooredDivision(by: 86_400_000)
        let inDay = milliseconds - days * 86_400_000
        let (year, month, day) = civil(fromDays: days)
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        func three(_ value: Int64) -> String { String(String(1000 + value).dropFirst()) }
        let date = "\(year)-\(two(month))-\(two(day))"
        let time = "\(two(inDay / 3_600_000)):\(two(inDay / 60_000 % 60)):\(two(inDay / 1000 % 60))"
        return "\(date)T\(time).\(three(inDay % 1000))Z"
    }
}

extension Int64 {
    fileprivate func flooredDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}

/// Days since 1970-01-01 to the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
private func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let z = days + 719_468
    let era = z.flooredDivision(by: 146_097)
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
}
