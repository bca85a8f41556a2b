package import Base
import Glibc

/// The only entropy of a program: the kernel's. Everything random unfolds from seeds drawn here.
package enum Entropy {
    package static func seed() -> Seed { Seed(word(), word(), word(), word()) }

    package static func word() -> UInt64 {
        var value: UInt64 = 0
        withUnsafeMutableBytes(of: &value) { buffer in
            var filled = 0
            while filled < buffer.count {
                let count = getrandom(buffer.baseAddress! + filled, buffer.count - filled, 0)
                // Only a signal may interrupt it: 8 bytes are given whole once the kernel's pool is ready.
                precondition(count > 0 || errno == EINTR, "getrandom: errno \(errno)")
                filled += max(count, 0)
            }
        }
        return value
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
