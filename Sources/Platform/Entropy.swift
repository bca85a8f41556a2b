package import Base

/// The kernel's entropy: getrandom(2), through the standard library. No other file of this package draws random numbers;
/// code that makes decisions gets a seed as an argument.
package enum Entropy {
    package static func seed() -> Seed { Seed(word(), word(), word(), word()) }

    package static func word() -> UInt64 { UInt64.random(in: .min ... .max) }

    package static func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let word = word()
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
        return Array(bytes.prefix(count))
    }
}
