package import Base

/// # Frames of reliable streams
///
/// The plaintext of a frames packet is `varint packetNumber`, then frames until the end. A frame is one byte of type
/// and its fields. Integers are varints (RFC 9000, section 16). They are written in the shortest form, and read in any
/// form.
///
///     0x00 PADDING              -
///     0x01 PING                 -                                                    asks for an ACK, nothing else
///     0x02 ACK                  largest, delay (us), more, first, more x (gap, length)     RFC 9000, 19.3
///     0x03 ACK with ECN         as 0x02, then ect0, ect1, ce
///     0x04 RESET_STREAM         id, code, finalSize
///     0x05 STOP_SENDING         id, code
///     0x08 STREAM               id, offset, length, length bytes
///     0x09 STREAM, last         the same; the stream ends behind these bytes
///     0x10 MAX_DATA             limit of the sum of all streams' bytes
///     0x11 MAX_STREAM_DATA      id, limit
///     0x12 MAX_STREAMS          how many streams the receiver may have opened in all
///     0x14 DATA_BLOCKED         limit
///     0x15 STREAM_DATA_BLOCKED  id, limit
///     0x16 STREAMS_BLOCKED      limit
///     0x20 ... 0x3f             frames of the mesh, not read here; they ask for no ACK
///
/// Numbers and meaning are QUIC's with three differences. A STREAM frame always states its length. There are only
/// bidirectional streams (bit 0 of an id names the opener, the rest counts). The delay of an ACK is in microseconds.

package enum Frame: Hashable, Sendable {
    case padding
    case ping
    case ack(AckFrame)
    case resetStream(StreamID, code: UInt64, finalSize: UInt64)
    case stopSending(StreamID, code: UInt64)
    case stream(StreamID, offset: UInt64, bytes: [UInt8], isLast: Bool)
    case maxData(UInt64)
    case maxStreamData(StreamID, UInt64)
    case maxStreams(UInt64)
    case dataBlocked(UInt64)
    case streamDataBlocked(StreamID, UInt64)
    case streamsBlocked(UInt64)

    /// More ranges are never written, and are refused when read.
    package static let maxAckRanges = 32
    /// The largest offset and varint, 2^62 - 1.
    package static let maxOffset: UInt64 = (1 << 62) - 1
    /// So that an id, which has one bit more than a count, stays far below 2^62.
    package static let maxStreamCount: UInt64 = 1 << 60
    /// Types that belong to the mesh and are read by it.
    package static let foreignTypes: ClosedRange<UInt8> = 0x20...0x3f

    /// Reads one frame with its type. A foreign type is an error here.
    package init(reading reader: inout ByteReader) throws(DecodeError) {
        self = try Frame(type: try reader.uint8("frame type"), reading: &reader)
    }

    /// Reads what follows the type.
    package init(type: UInt8, reading reader: inout ByteReader) throws(DecodeError) {
        switch type {
        case 0x00: self = .padding
        case 0x01: self = .ping
        case 0x02, 0x03: self = .ack(try AckFrame(reading: &reader, hasECN: type == 0x03))
        case 0x04:
            self = .resetStream(
                try reader.streamID(), code: try reader.varint("reset code"), finalSize: try reader.varint("final size")
            )
        case 0x05: self = .stopSending(try reader.streamID(), code: try reader.varint("stop code"))
        case 0x08, 0x09:
            let id = try reader.streamID(), start = reader.offset
            let offset = try reader.varint("stream offset")
            let bytes = try reader.sized("stream data", limit: .max)
            guard offset <= Frame.maxOffset - UInt64(bytes.count) else {
                throw DecodeError(.invalidValue, "stream offset", at: start)
            }
            self = .stream(id, offset: offset, bytes: bytes, isLast: type == 0x09)
        case 0x10: self = .maxData(try reader.varint("max data"))
        case 0x11: self = .maxStreamData(try reader.streamID(), try reader.varint("max stream data"))
        case 0x12: self = .maxStreams(try reader.streamCount("max streams"))
        case 0x14: self = .dataBlocked(try reader.varint("data blocked"))
        case 0x15: self = .streamDataBlocked(try reader.streamID(), try reader.varint("stream data blocked"))
        case 0x16: self = .streamsBlocked(try reader.streamCount("streams blocked"))
        default: throw DecodeError(.invalidValue, "frame type", at: reader.offset - 1)
        }
    }

    package func write(to writer: inout ByteWriter) {
        switch self {
        case .padding: writer.uint8(0x00)
        case .ping: writer.uint8(0x01)
        case .ack(let ack): ack.write(to: &writer)
        case .resetStream(let id, let code, let finalSize): writer.frame(0x04, id.rawValue, code, finalSize)
        case .stopSending(let id, let code): writer.frame(0x05, id.rawValue, code)
        case .stream(let id, let offset, let bytes, let isLast):
            Frame.writeStreamHeader(id, offset: offset, count: bytes.count, isLast: isLast, to: &writer)
            writer.append(bytes)
        case .maxData(let limit): writer.frame(0x10, limit)
        case .maxStreamData(let id, let limit): writer.frame(0x11, id.rawValue, limit)
        case .maxStreams(let limit): writer.frame(0x12, limit)
        case .dataBlocked(let limit): writer.frame(0x14, limit)
        case .streamDataBlocked(let id, let limit): writer.frame(0x15, id.rawValue, limit)
        case .streamsBlocked(let limit): writer.frame(0x16, limit)
        }
    }

    /// Writes a STREAM frame up to its bytes, which the caller appends from where they lie.
    package static func writeStreamHeader(
        _ id: StreamID, offset: UInt64, count: Int, isLast: Bool, to writer: inout ByteWriter
    ) {
        writer.frame(isLast ? 0x09 : 0x08, id.rawValue, offset, UInt64(count))
    }

    /// How many bytes of a stream fit with their header into `room` bytes; `nil` if not even the header does.
    package static func streamCapacity(_ id: StreamID, offset: UInt64, room: Int) -> Int? {
        let fixed = 1 + ByteWriter.varintSize(id.rawValue) + ByteWriter.varintSize(offset)
        let rest = room - fixed
        guard rest >= 1 else { return nil }
        // The length's own size is decided by the length: 63 bytes and less take one byte, 16,383 two.
        if rest <= 64 { return rest - 1 }
        if rest == 65 { return 63 }
        if rest <= 16_385 { return rest - 2 }
        return rest <= 16_387 ? 16_383 : min(rest - 4, (1 << 30) - 1)
    }

    /// Whether the frame must be acknowledged (RFC 9000, section 13.2).
    package var elicitsAck: Bool {
        switch self {
        case .padding, .ack: false
        case .ping, .resetStream, .stopSending, .stream, .maxData, .maxStreamData, .maxStreams, .dataBlocked,
            .streamDataBlocked, .streamsBlocked:
            true
        }
    }
}

extension ByteReader {
    mutating func streamID() throws(DecodeError) -> StreamID {
        let start = offset
        let id = StreamID(rawValue: try varint("stream id"))
        guard id.sequence < Frame.maxStreamCount else { throw DecodeError(.invalidValue, "stream id", at: start) }
        return id
    }
    mutating func streamCount(_ field: String) throws(DecodeError) -> UInt64 {
        let start = offset
        let count = try varint(field)
        guard count <= Frame.maxStreamCount else { throw DecodeError(.invalidValue, field, at: start) }
        return count
    }
}

extension ByteWriter {
    mutating func frame(_ type: UInt8, _ a: UInt64) {
        uint8(type)
        varint(a)
    }
    mutating func frame(_ type: UInt8, _ a: UInt64, _ b: UInt64) {
        frame(type, a)
        varint(b)
    }
    mutating func frame(_ type: UInt8, _ a: UInt64, _ b: UInt64, _ c: UInt64) {
        frame(type, a, b)
        varint(c)
    }
    mutating func frame(_ type: UInt8, _ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) {
        frame(type, a, b, c)
        varint(d)
    }
}
