package import Base

/// The frames of the mesh itself, without those of streams (`StreamFrame`), inside a sealed datagram of kind 4. Types
/// 0x20 to 0x3f are these:
///
/// ```
/// 0x20 ping                  token 8
/// 0x21 pong                  token 8 | the address that the ping came from
/// 0x22 message               length varint, bytes                          unreliable, at most 1000 bytes
/// 0x23 close                 code varint | reason text
/// 0x24 allocation request                                                  asks a relay for an allocation
/// 0x25 allocation            allocation 4 | key 32 | challenge 16          the answer; the challenge is for a first bind
/// 0x26 allocation refused    reason 1                                      the other answer
/// 0x27 candidates            number varint | mapping 1 | count varint, candidates
/// 0x28 candidates received   number varint                                 of the newest that were received
/// ```
///
/// `mapping` is what the sender knows of its NAT: 0 nothing, 1 no NAT, 2 all peers see one address, 3 each peer sees
/// another. A candidate is one byte, 0, and an address; or 1, the address of a relay, the relay's id (32) and the
/// allocation (4).
///
/// An address is one byte, 4 or 6, then 4 or 16 bytes and a port. A text or a byte string is a varint length (RFC 9000,
/// section 16) and as many bytes.
package enum MeshFrame: Hashable, Sendable {
    case ping(token: UInt64)
    case pong(token: UInt64, observed: SocketAddress)
    case message([UInt8])
    case close(CloseCode, reason: String)
    case allocationRequest
    case allocation(UInt32, key: [UInt8], challenge: [UInt8])
    case allocationRefused(AllocationRefusal)
    case candidates(number: UInt64, NATMapping, [PathCandidate])
    case candidatesReceived(number: UInt64)

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
        case 0x24: self = .allocationRequest
        case 0x25:
            self = .allocation(
                try reader.uint32("allocation"), key: Array(try reader.bytes(32, "allocation key")),
                challenge: Array(try reader.bytes(16, "challenge")))
        case 0x26:
            guard let reason = AllocationRefusal(rawValue: try reader.uint8("reason")) else {
                throw DecodeError(.invalidValue, "allocation refusal", at: reader.offset)
            }
            self = .allocationRefused(reason)
        case 0x27:
            let number = try reader.varint("candidates number")
            guard let mapping = NATMapping(rawValue: try reader.uint8("mapping")) else {
                throw DecodeError(.invalidValue, "mapping", at: reader.offset)
            }
            let count = try reader.varint("candidates")
            guard count <= UInt64(Limits.addressesPerPeer) else {
                throw DecodeError(.tooLong, "candidates", at: reader.offset)
            }
            var all: [PathCandidate] = []
            for _ in 0..<count { all.append(try PathCandidate(reading: &reader)) }
            self = .candidates(number: number, mapping, all)
        case 0x28: self = .candidatesReceived(number: try reader.varint("candidates number"))
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
        case .allocationRequest: writer.uint8(0x24)
        case .allocation(let allocation, let key, let challenge):
            precondition(key.count == 32 && challenge.count == 16, "an allocation's key and challenge")
            writer.uint8(0x25)
            writer.uint32(allocation)
            writer.append(key)
            writer.append(challenge)
        case .allocationRefused(let reason):
            writer.uint8(0x26)
            writer.uint8(reason.rawValue)
        case .candidates(let number, let mapping, let candidates):
            precondition(candidates.count <= Limits.addressesPerPeer, "\(candidates.count) candidates")
            writer.uint8(0x27)
            writer.varint(number)
            writer.uint8(mapping.rawValue)
            writer.varint(UInt64(candidates.count))
            for candidate in candidates { candidate.write(to: &writer) }
        case .candidatesReceived(let number):
            writer.uint8(0x28)
            writer.varint(number)
        }
    }
}

/// Why a relay has no allocation for a node.
package enum AllocationRefusal: UInt8, Hashable, Sendable, CaseIterable {
    /// The node is not a relay.
    case notARelay = 1
    /// It serves as many nodes as it can.
    case full = 2
}

/// Why a session was closed by its far end.
package enum CloseCode: UInt64, Hashable, Sendable, CaseIterable {
    /// The node shuts down, or needs no session any more.
    case goodbye = 0
    /// The far end broke the protocol of streams.
    case protocolViolation = 1
    /// The certificate was revoked or has expired.
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
        // A mapped address would be a second form of the same address.
        guard let ip, ip.isIPv4 == (family == 4) else { throw DecodeError(.invalidValue, "address", at: start) }
        self.init(ip, try reader.uint16("port"))
    }

    package func write(to writer: inout ByteWriter) {
        writer.uint8(ip.isIPv4 ? 4 : 6)
        writer.append(ip.bytes)
        writer.uint16(port)
    }
}
