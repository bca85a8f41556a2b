package import Base

/// The Port Control Protocol, version 2 (RFC 6887): asks a gateway to map one of its external ports to one of ours. Requests
/// of the opcode MAP, and answers of MAP and ANNOUNCE; addresses are of either family, IPv4 ones as mapped IPv6.
package enum PCP {
    /// Where a gateway listens, for NAT-PMP too.
    package static let serverPort: UInt16 = 5351
    /// Where clients receive announcements (section 14.1.3; RFC 6886, section 3.2.1), sent to 224.0.0.1.
    package static let announcementPort: UInt16 = 5350
    static let version: UInt8 = 2
    /// The maximum of a message (section 7).
    static let messageBytes = 1100
    static let nonceBytes = 12
    /// IANA's number of UDP.
    static let udp: UInt8 = 17

    /// RFC 6887, section 19.2 (opcodes).
    enum Opcode {
        static let announce: UInt8 = 0
        static let map: UInt8 = 1
        static let isResponse: UInt8 = 0x80
    }

    /// RFC 6887, section 7.4.
    package enum ResultCode: UInt8, Hashable, Sendable, CaseIterable {
        case success = 0
        case unsupportedVersion = 1
        case notAuthorized = 2
        case malformedRequest = 3
        case unsupportedOpcode = 4
        case unsupportedOption = 5
        case malformedOption = 6
        case networkFailure = 7
        case noResources = 8
        case unsupportedProtocol = 9
        case quotaExceeded = 10
        case cannotProvideExternal = 11
        case addressMismatch = 12
        case excessiveRemotePeers = 13

        /// Its meaning, for a person.
        package var meaning: String {
            switch self {
            case .success: "granted"
            case .unsupportedVersion: "the gateway speaks another version"
            case .notAuthorized: "the gateway does not allow it, or the port is another's"
            case .malformedRequest: "the gateway could not read the request"
            case .unsupportedOpcode: "the gateway makes no mappings"
            case .unsupportedOption: "the gateway does not know an option"
            case .malformedOption: "the gateway could not read an option"
            case .networkFailure: "the gateway has no connection to the outside"
            case .noResources: "the gateway has no room for more mappings"
            case .unsupportedProtocol: "the gateway maps no UDP"
            case .quotaExceeded: "this node has too many mappings"
            case .cannotProvideExternal: "the gateway has no such outer port"
            case .addressMismatch: "there is another NAT between this node and the gateway"
            case .excessiveRemotePeers: "too many remote peers"
            }
        }
    }

    /// A request for a mapping of a UDP port, or, with lifetime 0, for its deletion (sections 11.1 and 15).
    package struct MapRequest: Hashable, Sendable {
        /// 12 secret bytes: a client that has them may change the mapping.
        package let nonce: [UInt8]
        /// Our address on the gateway's inside, as the datagram that carries this shows it.
        package let client: IPAddress
        package let internalPort: UInt16
        /// What is requested; unspecified and 0 leave it to the gateway.
        package let suggested: SocketAddress
        package let lifetimeSeconds: UInt32

        package init(
            nonce: [UInt8], client: IPAddress, internalPort: UInt16, suggested: SocketAddress, lifetimeSeconds: UInt32
        ) {
            precondition(nonce.count == PCP.nonceBytes, "a nonce of \(nonce.count) bytes")
            self.nonce = nonce
            self.client = client
            self.internalPort = internalPort
            self.suggested = suggested
            self.lifetimeSeconds = lifetimeSeconds
        }

        package var encoded: [UInt8] {
            var writer = ByteWriter(reserving: 60)
            writer.uint8(PCP.version)
            writer.uint8(Opcode.map)
            writer.uint16(0)
            writer.uint32(lifetimeSeconds)
            writer.append(PCP.wide(client))
            writer.append(nonce)
            writer.uint8(PCP.udp)
            writer.zeros(3)
            writer.uint16(internalPort)
            writer.uint16(suggested.port)
            writer.append(PCP.wide(suggested.ip))
            return writer.bytes
        }
    }

    /// An answer, or an unsolicited announcement.
    package struct Response: Hashable, Sendable {
        package struct Map: Hashable, Sendable {
            package let nonce: [UInt8]
            package let transport: UInt8
            package let internalPort: UInt16
            package let external: SocketAddress
        }
        package let version: UInt8
        package let opcode: UInt8
        /// A `ResultCode`, or one that was defined later.
        package var result: UInt8
        /// The lifetime of a granted mapping; else for how long the same request is not to be repeated.
        package let lifetimeSeconds: UInt32
        /// Since the gateway lost its mappings, or began to keep them.
        package let epochSeconds: UInt32
        /// Absent from announcements, and from errors of gateways that could not read the request.
        package let map: Map?

        /// Why it was refused, for a person.
        package var meaning: String { ResultCode(rawValue: result)?.meaning ?? "refused with code \(result)" }

        /// Section 8.3. Of another version only `unsupportedVersion` can be read.
        package init(decoding bytes: [UInt8]) throws(DecodeError) {
            var reader = ByteReader(bytes.span.bytes)
            guard bytes.count <= PCP.messageBytes else { throw DecodeError(.tooLong, "PCP message", at: 0) }
            version = try reader.uint8("version")
            let operation = try reader.uint8("opcode")
            guard operation & Opcode.isResponse != 0 else { throw DecodeError(.invalidValue, "opcode", at: 1) }
            opcode = operation & ~Opcode.isResponse
            try reader.skip(1, "reserved")
            result = try reader.uint8("result")
            guard version == PCP.version || result == ResultCode.unsupportedVersion.rawValue else {
                throw DecodeError(.invalidValue, "version", at: 0)
            }
            lifetimeSeconds = try reader.uint32("lifetime")
            epochSeconds = try reader.uint32("epoch")
            try reader.skip(12, "reserved")
            guard opcode == Opcode.map, reader.remaining >= 36 else {
                guard opcode != Opcode.map || result != ResultCode.success.rawValue else {
                    throw DecodeError(.truncated, "map", at: reader.offset)
                }
                map = nil
                return
            }
            let nonce = try reader.bytes(PCP.nonceBytes, "nonce")
            let transport = try reader.uint8("protocol")
            try reader.skip(3, "reserved")
            let internalPort = try reader.uint16("internal port"), externalPort = try reader.uint16("external port")
            // 16 bytes make an address.
            let external = IPAddress(bytes: try reader.bytes(16, "external address"))!
            map = Map(
                nonce: nonce, transport: transport, internalPort: internalPort,
                external: SocketAddress(external, externalPort))
        }
    }

    /// The 128 bits of an address; one of IPv4 is mapped (section 5).
    private static func wide(_ address: IPAddress) -> [UInt8] {
        address.isIPv4 ? [UInt8](repeating: 0, count: 10) + [0xff, 0xff] + address.bytes : address.bytes
    }
}
