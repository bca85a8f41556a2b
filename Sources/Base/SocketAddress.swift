/// Where a datagram goes to or comes from.
package struct SocketAddress: Hashable, Comparable, Sendable {
    package var ip: IPAddress
    package var port: UInt16

    package init(_ ip: IPAddress, _ port: UInt16) {
        self.ip = ip
        self.port = port
    }

    /// `192.0.2.1:4100` or `[2001:db8::1]:4100`.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let port = UInt16(digits)
        else { return nil }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let ip = IPAddress(host.dropFirst().dropLast()), !ip.isIPv4 else { return nil }
            self.init(ip, port)
        } else {
            guard let ip = IPAddress(host), ip.isIPv4 else { return nil }
            self.init(ip, port)
        }
    }

    package static func < (a: SocketAddress, b: SocketAddress) -> Bool { a.ip == b.ip ? a.port < b.port : a.ip < b.ip }
}

extension SocketAddress: CustomStringConvertible {
    package var description: String { ip.isIPv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }
}

extension SocketAddress: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let address = SocketAddress(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected IP:PORT or [IPv6]:PORT")
        }
        self = address
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
