import Base
import Testing

@Suite struct BytesTests {
    @Test func `what is written is read`() throws {
        var writer = ByteWriter()
        writer.uint8(1)
        writer.uint16(0x0203)
        writer.uint32(0x0405_0607)
        writer.uint64(0x0809_0a0b_0c0d_0e0f)
        writer.text("näh")
        var reader = ByteReader(writer.bytes.span.bytes)
        #expect(try reader.uint8("a") == 1)
        #expect(try reader.uint16("b") == 0x0203)
        #expect(try reader.uint32("c") == 0x0405_0607)
        #expect(try reader.uint64("d") == 0x0809_0a0b_0c0d_0e0f)
        #expect(try reader.text("e", limit: 10) == "näh")
        try reader.expectEnd("message")
    }

    /// The examples of RFC 9000, appendix A.1.
    @Test(arguments: [
        ("c2197c5eff14e88c", UInt64(151_288_809_941_952_652)), ("9d7f3e7d", 494_878_333), ("7bbd", 15293), ("25", 37),
    ])
    func `varints are those of RFC 9000`(hex: String, value: UInt64) throws {
        let bytes = [UInt8](hex: hex)!
        var reader = ByteReader(bytes.span.bytes)
        #expect(try reader.varint("v") == value)
        var writer = ByteWriter()
        writer.varint(value)
        #expect(writer.bytes.hex == hex)
    }

    @Test func `an error names the field and the place`() {
        let bytes: [UInt8] = [1, 2, 3]
        var reader = ByteReader(bytes.span.bytes)
        _ = try? reader.uint16("first")
        do throws(DecodeError) {
            _ = try reader.uint32("second")
            Issue.record("read past the end")
        } catch {
            #expect(error == DecodeError(.truncated, "second", at: 2))
        }
    }

    @Test func `a length beyond its limit is refused before anything is allocated`() {
        let bytes: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
        var reader = ByteReader(bytes.span.bytes)
        #expect(throws: DecodeError(.tooLong, "blob", at: 0)) { try reader.sized("blob", limit: 1000) }
    }

    @Test func `hexadecimal goes both ways and refuses the rest`() {
        #expect([UInt8](hex: "00fF10") == [0, 255, 16])
        #expect([UInt8](hex: "0") == nil)
        #expect([UInt8](hex: "zz") == nil)
        #expect([0, 255, 16].hex == "00ff10")
    }

    @Test func `a batch keeps datagrams apart while it grows`() {
        var batch = DatagramBatch(capacity: 2048)
        let remote = SocketAddress(.loopback4, 9)
        for size in 1...200 { batch.append([UInt8](repeating: UInt8(size), count: size), remote: remote) }
        batch.append(reserving: 10, remote: remote) { _ in 0 }
        #expect(batch.count == 200)
        for size in 1...200 { #expect(batch.bytes(at: size - 1) == [UInt8](repeating: UInt8(size), count: size)) }
    }
}
