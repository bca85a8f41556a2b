package import Base

/// # Changes to bytes
///
/// What a network, an unauthenticated peer or a broken program makes of a datagram: flipped bits, shortened or extended ends,
/// parts of another one, numbers at the limits of their fields. The given generator draws the change, so that a seed
/// determines the whole run.
package struct Mutator: Sendable {
    package enum Change: String, CaseIterable, Sendable {
        case none, flip, several, truncate, extend, splice, byte, number, erase, insert, header
    }
    package var random: Random

    package init(_ random: Random) { self.random = random }

    /// Values at which a field of some width overflows.
    static let edges: [UInt64] = [
        0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 1024, 16_383, 16_384, 65_535, 65_536,
        (1 << 20) - 1, 1 << 20, (1 << 21) - 1, 1 << 21, (1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
        1 << 32, (1 << 60) - 1, 1 << 60, (1 << 61) - 1, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, .max,
    ]

    mutating func edge() -> UInt64 {
        random.chance(1, in: 8) ? random.next() >> random.next(below: 64) : pick(Mutator.edges)
    }
    /// One that a varint holds.
    mutating func edge62() -> UInt64 { min(edge(), (1 << 62) - 1) }
    mutating func pick<Element>(_ array: [Element]) -> Element { array[random.index(below: array.count)] }
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) } }

    /// Changes `bytes` once; `other` is what pieces are taken from.
    package mutating func change(_ bytes: inout [UInt8], with other: [UInt8]) -> Change {
        let change = Change.allCases[1 + random.index(below: Change.allCases.count - 1)]
        guard !bytes.isEmpty else {
            bytes = self.bytes(1 + random.index(below: 64))
            return .extend
        }
        let place = random.index(below: bytes.count)
        switch change {
        case .none: break
        case .flip: bytes[place] ^= 1 << UInt8(random.next(below: 8))
        case .several:
            for _ in 0..<2 + random.index(below: 7) {
                bytes[random.index(below: bytes.count)] ^= 1 << UInt8(random.next(below: 8))
            }
        case .truncate: bytes.removeLast(bytes.count - place)
        case .extend: bytes += self.bytes(1 + random.index(below: random.chance(1, in: 50) ? 60_000 : 64))
        case .splice:
            guard !other.isEmpty else { break }
            let start = random.index(below: other.count), count = min(other.count - start, 1 + random.index(below: 200))
            bytes.replaceSubrange(place..<min(bytes.count, place + count), with: other[start..<start + count])
        case .byte: bytes[place] = pick([0, 1, 0x7f, 0x80, 0xff, UInt8(truncatingIfNeeded: random.next())])
        case .number: number(in: &bytes, at: place)
        case .erase: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random.index(below: 32)))
        case .insert: bytes.insert(contentsOf: self.bytes(1 + random.index(below: 32)), at: place)
        case .header: header(of: &bytes)
        }
        return change
    }

    /// Overwrites a field of 1, 2, 4 or 8 bytes.
    private mutating func number(in bytes: inout [UInt8], at place: Int) {
        let value = edge(), width = pick([1, 2, 4, 8])
        for index in 0..<width where place + index < bytes.count {
            bytes[place + index] = UInt8(truncatingIfNeeded: value >> UInt64((width - 1 - index) * 8))
        }
    }

    /// Edits the unencrypted fields: kind, reserved bytes, indices, counter.
    private mutating func header(of bytes: inout [UInt8]) {
        let field = pick([0..<1, 1..<4, 4..<8, 8..<12, 8..<16])
        let value = edge()
        for index in field where index < bytes.count {
            bytes[index] = UInt8(truncatingIfNeeded: value >> UInt64((field.upperBound - 1 - index) % 8 * 8))
        }
    }
}
