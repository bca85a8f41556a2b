import Base

/// A service of a gateway that makes port mappings, as its description names it: WANIPConnection:1 or :2, or
/// WANPPPConnection:1 (UPnP Forum, Internet Gateway Device 1.0 and 2.0).
struct IGDService: Hashable, Sendable {
    enum Kind: String, Hashable, Sendable, CaseIterable {
        case ip2 = "urn:schemas-upnp-org:service:WANIPConnection:2"
        case ip1 = "urn:schemas-upnp-org:service:WANIPConnection:1"
        case ppp1 = "urn:schemas-upnp-org:service:WANPPPConnection:1"
    }
    let kind: Kind
    let control: GatewayURL

    /// The maximum in one description; gateways have one or two.
    private static let limit = 8

    /// All that a description names, best first. URLs that lead away from the gateway are left out.
    static func all(in description: [UInt8], at location: GatewayURL) throws(XMLError) -> [IGDService] {
        var base = location, found: [(kind: Kind, url: String)] = [], kind: Kind?, url: String?
        var xml = try XMLReader(description, maximumBytes: HTTPAnswer.bytesLimit)
        var text: [UInt8] = []
        while let event = try xml.next() {
            switch event {
            case .start: text = []
            case .text: text += xml.text
            case .end:
                let value = String(decoding: text, as: UTF8.self).trimmed
                text = []
                switch xml.localName {
                case "URLBase": base = GatewayURL(value, at: location.remote.ip) ?? location
                case "serviceType": kind = Kind(rawValue: value)
                case "controlURL": url = value
                case "service":
                    if let kind, let url, found.count < limit { found.append((kind, url)) }
                    (kind, url) = (nil, nil)
                default: break
                }
            }
        }
        // URLBase may come after the services.
        let services = found.compactMap { entry in
            base.resolving(entry.url).map { IGDService(kind: entry.kind, control: $0) }
        }
        return Kind.allCases.flatMap { kind in services.filter { $0.kind == kind } }
    }
}

extension XMLReader {
    /// The name of the current element without its prefix.
    var localName: String {
        let whole = name
        return whole.lastIndex(of: ":").map { String(whole[whole.index(after: $0)...]) } ?? whole
    }
}
