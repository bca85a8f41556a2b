/// A number as text has it, kept exact: `mantissa` times ten to the `exponent`. Watts and degrees come with decimals and are
/// stored in thousandths, and binary floating point would make 67029 mW of 67.03 W.
package struct DecimalNumber: Hashable, Sendable {
    package var mantissa: Int64
    package var exponent: Int

    package init(mantissa: Int64, exponent: Int) {
        self.mantissa = mantissa
        self.exponent = exponent
    }

    /// The value times ten to the `power`, rounded half away from zero; `nil` where it does not fit into 64 bits.
    package func scaled(byPowerOfTen power: Int) -> Int64? {
        if mantissa == 0 { return 0 }
        let shift = exponent + power
        if shift > 18 { return nil }
        if shift < -19 { return 0 }
        if shift >= 0 {
            let (product, overflow) = mantissa.multipliedReportingOverflow(by: Self.powersOfTen[shift])
            return overflow ? nil : product
        }
        if shift == -19 { return mantissa.magnitude >= 5_000_000_000_000_000_000 ? mantissa.signum() : 0 }
        let divisor = Self.powersOfTen[-shift]
        let (quotient, remainder) = mantissa.quotientAndRemainder(dividingBy: divisor)
        return remainder.magnitude >= divisor.magnitude - remainder.magnitude ? quotient + mantissa.signum() : quotient
    }

    /// The value if it is whole.
    package var whole: Int64? {
        guard let value = scaled(byPowerOfTen: 0) else { return nil }
        if exponent >= 0 { return value }
        guard exponent >= -18 else { return mantissa == 0 ? 0 : nil }
        return value.multipliedReportingOverflow(by: Self.powersOfTen[-exponent]) == (mantissa, false) ? value : nil
    }

    /// An exponent that no power, read or requested, brings back into range.
    private static let beyondRange = 40_000
    private static let powersOfTen: [Int64] = (0...18).map { power in
        (0..<power).reduce(1) { product, _ in product * 10 }
    }
}

extension DecimalNumber {
    /// Reads sign, digits, a fraction and, if asked, an exponent at the start of `bytes[range]`, and moves the range's start
    /// past them. `nil`, without moving it, where there is no digit. Digits of the fraction beyond what 64 bits hold are
    /// dropped; a whole part beyond that makes a number for which `scaled` always returns `nil`.
    init?(readingFrom bytes: [UInt8], _ range: inout Range<Int>, exponentAllowed: Bool = false) {
        var at = range.lowerBound
        let end = range.upperBound
        let isNegative = at < end && bytes[at] == UInt8(ascii: "-")
        if isNegative { at += 1 }
        var magnitude: UInt64 = 0
        var exponent = 0
        var digits = 0
        var isFraction = false
        var isFull = false
        while at < end {
            if bytes[at] == UInt8(ascii: "."), !isFraction, digits > 0, at + 1 < end, bytes[at + 1].isDigit {
                isFraction = true
                at += 1
                continue
            }
            guard bytes[at].isDigit else { break }
            let digit = UInt64(bytes[at] - UInt8(ascii: "0"))
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            if isFull || overflow || product > UInt64(Int64.max) - digit {
                isFull = true
                if !isFraction { exponent = Self.beyondRange }
            } else {
                magnitude = product + digit
                if isFraction { exponent -= 1 }
            }
            digits += 1
            at += 1
        }
        guard digits > 0 else { return nil }
        if exponentAllowed, let (power, after) = Self.power(bytes, at, end) {
            exponent += power
            at = after
        }
        // `magnitude` never exceeds Int64.max, so its negation fits too.
        self.init(mantissa: isNegative ? -Int64(magnitude) : Int64(magnitude), exponent: exponent)
        range = at..<end
    }

    /// `e+12`: the power, limited to the range that `scaled` distinguishes, and the offset after it.
    private static func power(_ bytes: [UInt8], _ start: Int, _ end: Int) -> (Int, Int)? {
        guard start < end, bytes[start] | 0x20 == UInt8(ascii: "e") else { return nil }
        var at = start + 1
        var isNegative = false
        if at < end, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") {
            isNegative = bytes[at] == UInt8(ascii: "-")
            at += 1
        }
        guard at < end, bytes[at].isDigit else { return nil }
        var power = 0
        while at < end, bytes[at].isDigit {
            power = min(power * 10 + Int(bytes[at] - UInt8(ascii: "0")), 10_000)
            at += 1
        }
        return (isNegative ? -power : power, at)
    }
}

extension UInt8 {
    var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
    /// Blank, tab, carriage return or line feed.
    var isBlank: Bool { self == 32 || self == 9 || self == 10 || self == 13 }
}
