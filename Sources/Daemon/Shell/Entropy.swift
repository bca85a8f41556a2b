package import Base

/// The only entropy of a program: the kernel's. Everything random unfolds from seeds drawn here.
package enum Entropy {
    package static func seed() -> Seed { Seed(word(), word(), word(), word()) }

    package static func word() -> UInt64 {
        // getrandom(2), on Linux.
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }

    package static func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let word = word()
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
        return Array(bytes.prefix(count))
    }
}
