/// A cursor over received bytes. Integers are big-endian unless stated otherwise. Every read names its field, for the
/// error message.
package struct ByteReader: ~Escapable {
    private let bytes: RawSpan
    package private(set) var offset = 0

    @_lifetime(copy bytes)
    package init(_ bytes: RawSpan) { self.bytes = bytes }

    package var remaining: Int { bytes.byteCount - offset }
    package var isAtEnd: Bool { offset == bytes.byteCount }

    package mutating func uint8(_ field: String) throws(DecodeError) -> UInt8 {
        try require(1, field)
        defer { offset += 1 }
        return bytes.unsafeLoadByte(offset)
    }
    package mutating func uint16(_ field: String) throws(DecodeError) -> UInt16 {
        UInt16(truncatingIfNeeded: try big(2, field))
    }
    package mutating func uint32(_ field: String) throws(DecodeError) -> UInt32 {
        UInt32(truncatingIfNeeded: try big(4, field))
    }
    package mutating func uint64(_ field: String) throws(DecodeError) -> UInt64 { try big(8, field) }

    /// A variable-length integer of QUIC (RFC 9000, section 16): 1, 2, 4 or 8 bytes, at most 2^62 - 1.
    package mutating func varint(_ field: String) throws(DecodeError) -> UInt64 {
        try require(1, field)
        let length = 1 << Int(bytes.unsafeLoadByte(offset) >> 6)
        let value = try big(length, field)
        return length == 8 ? value & 0x3fff_ffff_ffff_ffff : value & ((1 << UInt64(length * 8 - 2)) - 1)
    }

    package mutating func bytes(_ count: Int, _ field: String) throws(DecodeError) -> [UInt8] {
        try require(count, field)
        defer { offset += count }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count { buffer[index] = bytes.unsafeLoadByte(offset + index) }
            initialized = count
        }
    }
    /// What is left, all of it.
    package mutating func rest() -> [UInt8] {
        // `remaining` bytes are there by definition, so the read cannot fail.
        try! bytes(remaining, "rest")
    }
    /// A varint length, then as many bytes; at most `limit` of them.
    package mutating func sized(_ field: String, limit: Int) throws(DecodeError) -> [UInt8] {
        let start = offset
        let count = try varint(field)
        guard count <= UInt64(limit) else { throw DecodeError(.tooLong, field, at: start) }
        return try bytes(Int(count), field)
    }
    package mutating func text(_ field: String, limit: Int) throws(DecodeError) -> String {
        let start = offset
        let raw = try sized(field, limit: limit)
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw DecodeError(.invalidValue, field, at: start)
        }
        return text
    }
    package mutating func nodeID(_ field: String) throws(DecodeError) -> NodeID {
        // 32 bytes make a NodeID.
        NodeID(try bytes(32, field))!
    }
    package mutating func skip(_ count: Int, _ field: String) throws(DecodeError) {
        try require(count, field)
        offset += count
    }
    package func expectEnd(_ what: String) throws(DecodeError) {
        guard isAtEnd else { throw DecodeError(.trailingBytes, what, at: offset) }
    }

    private func require(_ count: Int, _ field: String) throws(DecodeError) {
        guard count >= 0, remaining >= count else { throw DecodeError(.truncated, field, at: offset) }
    }
    private mutating func big(_ count: Int, _ field: String) throws(DecodeError) -> UInt64 {
        try require(count, field)
        var value: UInt64 = 0
        for index in 0..<count { value = value << 8 | UInt64(bytes.unsafeLoadByte(offset + index)) }
        offset += count
        return value
    }
}

extension RawSpan {
    /// The byte at an offset that the caller has checked.
    fileprivate func unsafeLoadByte(_ offset: Int) -> UInt8 { unsafeLoad(fromByteOffset: offset, as: UInt8.self) }
}
