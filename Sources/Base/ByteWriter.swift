/// Appends fields to bytes; the mirror image of `ByteReader`.
package struct ByteWriter: Sendable {
    package var bytes: [UInt8]

    package init(reserving capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func uint8(_ value: UInt8) { bytes.append(value) }
    package mutating func uint16(_ value: UInt16) { big(UInt64(value), 2) }
    package mutating func uint32(_ value: UInt32) { big(UInt64(value), 4) }
    package mutating func uint64(_ value: UInt64) { big(value, 8) }

    /// RFC 9000, section 16, in the shortest form. `value` must be below 2^62.
    package mutating func varint(_ value: UInt64) {
        precondition(value < 1 << 62, "varint out of range: \(value)")
        switch ByteWriter.varintSize(value) {
        case 1: uint8(UInt8(value))
        case 2: uint16(UInt16(value) | 0x4000)
        case 4: uint32(UInt32(value) | 0x8000_0000)
        default: uint64(value | 0xc000_0000_0000_0000)
        }
    }
    package static func varintSize(_ value: UInt64) -> Int {
        value < 1 << 6 ? 1 : value < 1 << 14 ? 2 : value < 1 << 30 ? 4 : 8
    }

    package mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }
    /// A varint length, then the bytes.
    package mutating func sized(_ more: some Collection<UInt8>) {
        varint(UInt64(more.count))
        bytes.append(contentsOf: more)
    }
    package mutating func text(_ text: String) { sized(text.utf8) }
    package mutating func nodeID(_ id: NodeID) { bytes.append(contentsOf: id.bytes) }
    package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    private mutating func big(_ value: UInt64, _ count: Int) {
        for shift in stride(from: (count - 1) * 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
}
