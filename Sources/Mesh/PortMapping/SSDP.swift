package import Base

/// Finding a gateway's description (UPnP Device Architecture 1.1, section 1.3): a multicast request, and the answers.
package enum SSDP {
    package static let group = SocketAddress(.v4(0xefff_fffa), 1900)
    /// The maximum of an answer; real ones are much shorter.
    static let messageBytes = 2048

    /// Version 1 is answered by gateways of version 2 as well, or should be.
    static let targets = [
        "urn:schemas-upnp-org:device:InternetGatewayDevice:1", "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    ]

    package static func search(_ target: String, host: SocketAddress) -> [UInt8] {
        Array(
            "M-SEARCH * HTTP/1.1\r\nHOST: \(host)\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: \(target)\r\n\r\n".utf8)
    }

    /// The URL of the answering device's description; `nil` for a datagram that is no answer of a gateway.
    package static func location(in datagram: [UInt8]) -> String? {
        guard datagram.count <= messageBytes else { return nil }
        let lines = String(decoding: datagram, as: UTF8.self).split(
            omittingEmptySubsequences: true, whereSeparator: \.isNewline)
        guard let status = lines.first, status.hasPrefix("HTTP/1."),
            status.split(separator: " ").dropFirst().first == "200"
        else { return nil }
        var location: String?, isGateway = false
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].trimmed
            switch line[..<colon].trimmed.lowercased() {
            case "location": location = value
            case "st": isGateway = value.contains(":InternetGatewayDevice:")
            default: continue
            }
        }
        return isGateway ? location : nil
    }
}
