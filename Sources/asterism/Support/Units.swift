import Base

/// # Sizes, times and shares as people write and read them
///
/// Sizes are binary with a binary unit (KiB, MiB, GiB, TiB, and also a bare K, M, G, T as in systemd). They are decimal for
/// kB, MB, GB, TB, and bytes without a unit. Lengths of time are whole seconds: `90`, `90s`, `10m`, `1h30m`, `2d`. Processors
/// are `1.5`, or `1500m` in thousandths.
enum Units {
    struct Problem: Error, Equatable {
        var message: String
    }

    private static let sizes: [(unit: String, bytes: Int64)] = [
        ("", 1), ("B", 1),
        ("K", 1 << 10), ("KiB", 1 << 10), ("M", 1 << 20), ("MiB", 1 << 20), ("G", 1 << 30), ("GiB", 1 << 30),
        ("T", 1 << 40), ("TiB", 1 << 40),
        ("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ]

    static func bytes(_ text: String) throws(Problem) -> Int64 {
        let (number, unit) = split(text)
        guard let value = Decimal(number) else {
            throw Problem(message: "'\(text)' is not a size; write bytes, or a number and a unit, as in 512MiB or 2GiB")
        }
        if let size = sizes.first(where: { $0.unit == unit }) {
            guard let bytes = value.times(size.bytes) else { throw Problem(message: "'\(text)' is too large") }
            return bytes
        }
        let near = sizes.first { $0.unit.lowercased() == unit.lowercased() && $0.unit.count > 1 }?.unit
        throw Problem(message: "'\(unit)' is not a unit of size" + (near.map { "; did you mean '\($0)'?" } ?? sizeHint))
    }
    private static let sizeHint = "; units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB"

    private static let times: [(unit: String, seconds: Int64)] = [
        ("s", 1), ("m", 60), ("min", 60), ("h", 3600), ("d", 86_400),
    ]

    /// A length of time in seconds.
    static func seconds(_ text: String) throws(Problem) -> Int64 {
        let isNegative = text.hasPrefix("-")
        var rest = Substring(isNegative ? text.dropFirst() : text[...])
        let wrong = Problem(message: "'\(text)' is not a length of time; write seconds, or as in 90s, 10m, 1h30m, 2d")
        if let seconds = Int64(rest), rest.utf8.allSatisfy(isDigit) { return isNegative ? -seconds : seconds }
        guard !rest.isEmpty else { throw wrong }
        var sum: Int64 = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let count = Int64(digits) else { throw wrong }
            if unit == "ms" || unit == "us" {
                throw Problem(message: "'\(text)' is finer than a second; write whole seconds")
            }
            guard let size = times.first(where: { $0.unit == unit })?.seconds else {
                guard !unit.isEmpty else { throw wrong }
                throw Problem(message: "'\(unit)' is not a unit of time; units are s, m, h and d")
            }
            let (part, tooMuch) = count.multipliedReportingOverflow(by: size)
            let (next, overflow) = sum.addingReportingOverflow(part)
            guard !tooMuch, !overflow else { throw Problem(message: "'\(text)' is too long") }
            sum = next
        }
        return isNegative ? -sum : sum
    }

    /// Processors in thousandths.
    static func millicores(_ text: String) throws(Problem) -> Int64 {
        let (number, unit) = split(text)
        guard let value = Decimal(number), unit.isEmpty || unit == "m" else {
            throw Problem(message: "'\(text)' is not a number of processors; write as in 0.5 or 2")
        }
        guard let result = value.times(unit == "m" ? 1 : 1000) else { throw Problem(message: "'\(text)' is too large") }
        return result
    }

    private static func split(_ text: String) -> (number: Substring, unit: String) {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == "." || $0 == "-" || $0 == "+") }
        return (number, String(text[number.endIndex...].drop { $0 == " " }))
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

    /// A decimal number with at most nine places, exactly.
    private struct Decimal {
        var scaled: Int64
        var scale: Int64 = 1

        init?(_ text: Substring) {
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            let isNegative = text.hasPrefix("-")
            guard let first = parts.first, let whole = Int64(first), first.utf8.last.map(isDigit) ?? false else {
                return nil
            }
            scaled = whole
            guard parts.count == 2 else { return }
            guard (1...9).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy(isDigit) else { return nil }
            for digit in parts[1].utf8 {
                scale *= 10
                let (tens, tooMuch) = scaled.multipliedReportingOverflow(by: 10)
                guard !tooMuch else { return nil }
                scaled = isNegative ? tens - Int64(digit - 48) : tens + Int64(digit - 48)
            }
        }

        func times(_ unit: Int64) -> Int64? {
            let (product, overflow) = scaled.multipliedReportingOverflow(by: unit)
            guard overflow else { return product / scale }
            // Near the end of the range the fraction may be dropped.
            let (coarse, stillTooMuch) = (scaled / scale).multipliedReportingOverflow(by: unit)
            return stillTooMuch ? nil : coarse
        }
    }
}

extension Units {
    /// `812B`, `1.5KiB`, `16GiB`: three figures at most before the point, one after it below 100.
    static func size(_ bytes: Int64) -> String {
        let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var unit = 0
        let tenths = bytes.magnitude.multipliedReportingOverflow(by: 10)
        var value = tenths.partialValue
        if tenths.overflow {
            value = bytes.magnitude / 1024 * 10
            unit = 1
        }
        while value >= 10_240, unit < names.count - 1 {
            value = (value + 512) / 1024
            unit += 1
        }
        let whole = value / 10, rest = value % 10
        let number = unit == 0 || rest == 0 || whole >= 100 ? "\(whole)" : "\(whole).\(rest)"
        return (bytes < 0 ? "-" : "") + number + names[unit]
    }

    /// How long something lasts or lasted: `3s`, `2m`, `5h`, `4d`, of the largest unit only.
    static func age(_ interval: Interval) -> String {
        let seconds = max(0, interval.seconds)
        if seconds < 60 { return "\(seconds)s" }
        if seconds < 3600 { return "\(seconds / 60)m" }
        if seconds < 86_400 { return "\(seconds / 3600)h" }
        return "\(seconds / 86_400)d"
    }

    /// A round trip: `84us`, `1.25ms`, `312ms`.
    static func roundTrip(microseconds: Int64) -> String {
        if microseconds < 1000 { return "\(microseconds)us" }
        if microseconds >= 100_000 { return "\(microseconds / 1000)ms" }
        let hundredths = microseconds / 10
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)ms"
    }

    /// `1204/1.5MiB`, and nothing where nothing was carried.
    static func packets(_ count: Int, bytes: Int) -> String? {
        count == 0 ? nil : "\(count)/\(size(Int64(bytes)))"
    }

    /// A number in decimal form for people: `812`, `1.5k`, `2.31M`, `9.4G`.
    static func decimal(_ value: Double) -> String {
        var value = max(0, value), unit = 0
        let names = ["", "k", "M", "G", "T"]
        while value >= 999.5, unit < names.count - 1 {
            value /= 1000
            unit += 1
        }
        let places = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((value * scale).rounded()), whole = scaled / Int64(scale)
        guard places > 0 else { return "\(whole)\(names[unit])" }
        let rest = String(String(scaled % Int64(scale) + Int64(scale)).dropFirst())
        return "\(whole).\(rest)\(names[unit])"
    }

    /// Bits in a second: `812bit/s`, `2.31Gbit/s`.
    static func rate(bitsPerSecond: Double) -> String { decimal(bitsPerSecond) + "bit/s" }

    /// Thousandths as a number with as many places as it needs.
    static func thousandths(_ value: Int64) -> String {
        let whole = value / 1000, rest = (value % 1000).magnitude
        if rest == 0 { return "\(whole)" }
        var digits = String(String(1000 + rest).dropFirst())
        while digits.last == "0" { digits.removeLast() }
        return "\(value < 0 && whole == 0 ? "-" : "")\(whole).\(digits)"
    }
}
