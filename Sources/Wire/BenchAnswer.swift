package import Base

/// See `BenchRequest`.
package enum BenchAnswer: Hashable, Sendable {
    package enum Refusal: UInt8, Hashable, Sendable, CaseIterable {
        /// The permitted number of measurements is already running.
        case busy = 1
        /// The node has no network interface of the overlay.
        case noOverlay = 2
        /// Its server could not be started.
        case failed = 3
    }
    package struct Server: Hashable, Sendable {
        package static let tokenCount = 16
        package var isIPv4: Bool
        package var tcpPort: UInt16
        package var udpPort: UInt16
        package var token: [UInt8]

        package init(isIPv4: Bool, tcpPort: UInt16, udpPort: UInt16, token: [UInt8]) {
            precondition(token.count == Server.tokenCount, "a token of \(token.count) bytes")
            self.isIPv4 = isIPv4
            self.tcpPort = tcpPort
            self.udpPort = udpPort
            self.token = token
        }
    }

    /// Bytes of the longest.
    package static let size = 29

    case serving(Server)
    case refused(Refusal)

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        try BenchRequest.readMagic(&reader)
        let result = try reader.uint8("result")
        if result == 0 {
            let family = try reader.uint8("family")
            guard family == 4 || family == 6 else { throw DecodeError(.invalidValue, "family", at: reader.offset) }
            let tcpPort = try reader.uint16("TCP port"), udpPort = try reader.uint16("UDP port")
            guard tcpPort != 0, udpPort != 0 else { throw DecodeError(.invalidValue, "port", at: reader.offset) }
            self = .serving(
                Server(
                    isIPv4: family == 4, tcpPort: tcpPort, udpPort: udpPort,
                    token: try reader.bytes(Server.tokenCount, "token")))
        } else {
            guard let refusal = Refusal(rawValue: result) else {
                throw DecodeError(.invalidValue, "result", at: reader.offset)
            }
            self = .refused(refusal)
        }
        try reader.expectEnd("bench answer")
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: BenchAnswer.size)
        writer.append(BenchRequest.magic)
        switch self {
        case .refused(let refusal): writer.uint8(refusal.rawValue)
        case .serving(let server):
            writer.uint8(0)
            writer.uint8(server.isIPv4 ? 4 : 6)
            writer.uint16(server.tcpPort)
            writer.uint16(server.udpPort)
            writer.append(server.token)
        }
        return writer.bytes
    }
}
