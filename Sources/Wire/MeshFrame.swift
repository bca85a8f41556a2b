package import Base

/// The frames of the mesh itself, beside those of streams (`StreamFrame`), inside a sealed datagram of kind 4. Types
/// 0x20 to 0x3f are these:
///
/// ```
/// 0x20 ping      token 8
/// 0x21 pong      token 8 | the address that the ping came from
/// 0x22 message   length varint, bytes        unreliable, at most 1024 bytes
/// 0x23 close     code varint | reason text
/// ```
///
/// An address is one byte, 4 or 6, then 4 or 16 bytes and a port. A text or a byte string is a varint length (RFC 9000,
/// section 16) and as many bytes.
package enum MeshFrame: Hashable, Sendable {
    case ping(token: UInt64)
    case pong(token: UInt64, observed: SocketAddress)
    case message([UInt8])
    case close(CloseCode, reason: String)

    package static let types: ClosedRange<UInt8> = 0x20...0x3f

    /// Reads a frame whose type byte has been read already.
    package init(type: UInt8, reading reader: inout ByteReader) throws(DecodeError) {
        switch type {
        case 0x20: self = .ping(token: try reader.uint64("ping token"))
        case 0x21:
            self = .pong(token: try reader.uint64("pong token"), observed: try SocketAddress(reading: &reader))
        case 0x22: self = .message(try reader.sized("message", limit: Limits.messageBytes))
        case 0x23:
            let raw = try reader.varint("close code")
            guard let code = CloseCode(rawValue: raw) else {
                throw DecodeError(.invalidValue, "close code", at: reader.offset)
            }
            self = .close(code, reason: try reader.text("close reason", limit: 256))
        case _: throw DecodeError(.invalidValue, "frame type", at: reader.offset)
        }
    }

    package func write(to writer: inout ByteWriter) {
        switch self {
        case .ping(let token):
            writer.uint8(0x20)
            writer.uint64(token)
        case .pong(let token, let observed):
            writer.uint8(0x21)
            writer.uint64(token)
            observed.write(to: &writer)
        case .message(let bytes):
            writer.uint8(0x22)
            writer.sized(bytes)
        case .close(let code, let reason):
            writer.uint8(0x23)
            writer.varint(code.rawValue)
            writer.text(reason)
        }
    }
}

/// Why a session was closed by its far end.
package enum CloseCode: UInt64, Hashable, Sendable, CaseIterable {
    /// The node shuts down, or wants no session any more.
    case goodbye = 0
    /// The far end broke the protocol of streams.
    case protocolViolation = 1
    /// The certificate was revoked or has run out.
    case notAuthorised = 2
    /// The far end has no room for another session.
    case overloaded = 3
}

extension SocketAddress {
    package init(reading reader: inout ByteReader) throws(DecodeError) {
        let start = reader.offset
        let family = try reader.uint8("address family")
        let ip: IPAddress?
        switch family {
        case 4: ip = IPAddress(bytes: try reader.bytes(4, "IPv4 address"))
        case 6: ip = IPAddress(bytes: try reader.bytes(16, "IPv6 address"))
        case _: throw DecodeError(.invalidValue, "address family", at: start)
        }
        // A mapped address would make two spellings of one.
        guard let ip, ip.isIPv4 == (family == 4) else { throw DecodeError(.invalidValue, "address", at: start) }
        self.init(ip, try reader.uint16("port"))
    }

    package func write(to writer: inout ByteWriter) {
        writer.uint8(ip.isIPv4 ? 4 : 6)
        writer.append(ip.bytes)
        writer.uint16(port)
    }
}
