/// # Packets in a pcapng file
///
/// pcapng (draft-ietf-opsawg-pcapng): a sequence of blocks, each with its type and twice its length. A section header
/// comes first, then the descriptions of the interfaces, then packets. At the end come the counts of packets and of
/// lost packets.
///
/// ```
/// section header │ interface 0 │ interface 1 │ packet │ packet │ ... │ statistics of 0 │ of 1
///
/// block    type 4 │ length 4 │ body, options │ zeros to a multiple of 4 │ length 4
/// option   code 2 │ length 2 │ value │ zeros to a multiple of 4
/// ```
///
/// Integers are little-endian, which the magic number in the section header states (section 4.1). Times are nanoseconds
/// since 1970. Bytes can be taken out at any time and are the next piece of the file.
package struct Pcapng: Sendable {
    /// What has not been taken yet.
    package private(set) var bytes: [UInt8] = []
    private var interfaces: UInt32 = 0

    /// LINKTYPE_RAW: an IPv4 or IPv6 packet, by its first four bits.
    package static let raw: UInt16 = 101

    /// Begins a section. `application` is the program that writes it.
    package init(application: String) {
        block(0x0a0d_0d0a) { body in
            body.u32(0x1a2b_3c4d)
            body.u16(1)
            body.u16(0)
            // The length of the section is not known while it is written.
            body.u64(.max)
            body.option(4, Array(application.utf8))
            body.endOptions()
        }
    }

    /// Describes an interface; its number is how many there were before.
    package mutating func interface(_ name: String, _ description: String, linkType: UInt16) {
        interfaces += 1
        block(1) { body in
            body.u16(linkType)
            body.u16(0)
            // Packets are never cut.
            body.u32(0)
            body.option(2, Array(name.utf8))
            body.option(3, Array(description.utf8))
            // if_tsresol: 10^-9 of a second.
            body.option(9, [9])
            body.endOptions()
        }
    }

    /// One packet of an interface.
    package mutating func packet(
        _ packet: [UInt8], interface: UInt32, at nanoseconds: UInt64, isOutward: Bool, comment: String
    ) {
        precondition(interface < interfaces, "an interface that was not described")
        block(6) { body in
            body.u32(interface)
            body.time(nanoseconds)
            body.u32(UInt32(packet.count))
            body.u32(UInt32(packet.count))
            body.padded(packet)
            body.option(1, Array(comment.utf8))
            // epb_flags: the two lowest bits are the direction, 1 in and 2 out.
            body.option(2, [isOutward ? 2 : 1, 0, 0, 0])
            body.endOptions()
        }
    }

    /// How many packets an interface has had in that time, and how many of them are not in the file.
    package mutating func statistics(
        interface: UInt32, from begin: UInt64, to end: UInt64, received: UInt64, dropped: UInt64
    ) {
        precondition(interface < interfaces, "an interface that was not described")
        block(5) { body in
            body.u32(interface)
            body.time(end)
            for (code, time) in [(UInt16(2), begin), (3, end)] {
                var value = LittleEndian()
                value.time(time)
                body.option(code, value.bytes)
            }
            for (code, count) in [(UInt16(4), received), (5, dropped)] {
                var value = LittleEndian()
                value.u64(count)
                body.option(code, value.bytes)
            }
            body.endOptions()
        }
    }

    /// The next piece of the file, which is whole blocks.
    package mutating func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }

    private mutating func block(_ type: UInt32, _ write: (inout LittleEndian) -> Void) {
        var body = LittleEndian()
        write(&body)
        let length = UInt32(body.bytes.count + 12)
        var frame = LittleEndian()
        frame.u32(type)
        frame.u32(length)
        bytes += frame.bytes
        bytes += body.bytes
        var end = LittleEndian()
        end.u32(length)
        bytes += end.bytes
    }

    /// `ByteWriter` is for what we send, and that is big-endian.
    private struct LittleEndian {
        var bytes: [UInt8] = []

        mutating func u16(_ value: UInt16) { append(UInt64(value), 2) }
        mutating func u32(_ value: UInt32) { append(UInt64(value), 4) }
        mutating func u64(_ value: UInt64) { append(value, 8) }

        /// The upper half first, in both byte orders (section 4.3).
        mutating func time(_ nanoseconds: UInt64) {
            u32(UInt32(truncatingIfNeeded: nanoseconds >> 32))
            u32(UInt32(truncatingIfNeeded: nanoseconds))
        }

        mutating func padded(_ more: [UInt8]) {
            bytes += more
            while bytes.count % 4 != 0 { bytes.append(0) }
        }

        /// A value is at most 65,535 bytes long.
        mutating func option(_ code: UInt16, _ value: [UInt8]) {
            let value = Array(value.prefix(Int(UInt16.max)))
            u16(code)
            u16(UInt16(value.count))
            padded(value)
        }

        mutating func endOptions() {
            u16(0)
            u16(0)
        }

        private mutating func append(_ value: UInt64, _ count: Int) {
            for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
        }
    }
}
