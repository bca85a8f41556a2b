/// A 64-bit digest for 'has this changed?': FNV-1a. Same bytes, same value, on every machine and in every run. It does
/// not resist attackers; `Noise` has BLAKE2b for that.
package struct Fingerprint: Hashable, Sendable {
    package private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func combine(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    package mutating func combine(_ bytes: some Sequence<UInt8>) { for byte in bytes { combine(byte) } }
    package mutating func combine(_ text: String) {
        combine(UInt64(text.utf8.count))
        combine(text.utf8)
    }
    package mutating func combine(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { combine(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}
