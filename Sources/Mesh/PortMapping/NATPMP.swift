package import Base

/// The NAT Port Mapping Protocol (RFC 6886), PCP's predecessor: IPv4 only, and the external address needs a separate request.
package enum NATPMP {
    static let version: UInt8 = 0

    enum Opcode {
        static let externalAddress: UInt8 = 0
        static let mapUDP: UInt8 = 1
        static let isResponse: UInt8 = 0x80
    }

    /// RFC 6886, section 3.5.
    package enum ResultCode: UInt16, Hashable, Sendable, CaseIterable {
        case success = 0
        case unsupportedVersion = 1
        case notAuthorized = 2
        case networkFailure = 3
        case outOfResources = 4
        case unsupportedOpcode = 5

        package var meaning: String {
            switch self {
            case .success: "granted"
            case .unsupportedVersion: "the gateway speaks another version"
            case .notAuthorized: "the gateway does not allow it"
            case .networkFailure: "the gateway has no connection to the outside"
            case .outOfResources: "the gateway has no room for more mappings"
            case .unsupportedOpcode: "the gateway makes no mappings"
            }
        }
    }

    /// Section 3.2.
    package static let externalAddressRequest: [UInt8] = [version, Opcode.externalAddress]

    /// Section 3.3; with no lifetime and no outer port it ends the mapping (section 3.4).
    package static func mapRequest(
        internalPort: UInt16, suggestedPort: UInt16, lifetimeSeconds: UInt32
    ) -> [UInt8] {
        var writer = ByteWriter(reserving: 12)
        writer.uint8(version)
        writer.uint8(Opcode.mapUDP)
        writer.uint16(0)
        writer.uint16(internalPort)
        writer.uint16(suggestedPort)
        writer.uint32(lifetimeSeconds)
        return writer.bytes
    }

    package struct Response: Hashable, Sendable {
        package enum Body: Hashable, Sendable {
            case externalAddress(IPAddress)
            case map(internalPort: UInt16, externalPort: UInt16, lifetimeSeconds: UInt32)
            /// It failed, or is not used here.
            case none
        }
        package let opcode: UInt8
        /// A `ResultCode`, or one that no standard defines.
        package var result: UInt16
        package let epochSeconds: UInt32
        package private(set) var body: Body

        package var meaning: String { ResultCode(rawValue: result)?.meaning ?? "refused with code \(result)" }

        package init(decoding bytes: [UInt8]) throws(DecodeError) {
            var reader = ByteReader(bytes.span.bytes)
            guard try reader.uint8("version") == NATPMP.version else {
                throw DecodeError(.invalidValue, "version", at: 0)
            }
            let operation = try reader.uint8("opcode")
            guard operation & Opcode.isResponse != 0 else { throw DecodeError(.invalidValue, "opcode", at: 1) }
            opcode = operation & ~Opcode.isResponse
            result = try reader.uint16("result")
            epochSeconds = try reader.uint32("epoch")
            body = .none
            guard result == ResultCode.success.rawValue else { return }
            switch opcode {
            case Opcode.externalAddress: body = .externalAddress(.v4(try reader.uint32("external address")))
            case Opcode.mapUDP:
                body = .map(
                    internalPort: try reader.uint16("internal port"), externalPort: try reader.uint16("external port"),
                    lifetimeSeconds: try reader.uint32("lifetime"))
            default: break
            }
        }
    }
}
