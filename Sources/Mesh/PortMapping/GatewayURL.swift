import Base

/// A URL at the gateway's own HTTP server: no other server is contacted, since any host may answer a search and name any URL.
struct GatewayURL: Hashable, Sendable {
    let remote: SocketAddress
    /// With its query; printable ASCII, so that it can be put into a request as it is.
    let path: String

    private static let bytes = 1024

    /// `http://IP:PORT/PATH` with the gateway's IP; `nil` for anything else.
    init?(_ text: String, at gateway: IPAddress) {
        guard text.utf8.count <= GatewayURL.bytes, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            text.prefix(7).lowercased() == "http://"
        else { return nil }
        let rest = text.dropFirst(7).prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let hasPort = authority.contains(":")
        guard let remote = SocketAddress(hasPort ? String(authority) : "\(authority):80"), remote.ip == gateway,
            remote.port != 0
        else { return nil }
        let path = rest[authority.endIndex...]
        self.remote = remote
        self.path = path.hasPrefix("/") ? String(path) : "/\(path)"
    }

    private init(_ remote: SocketAddress, _ path: String) {
        self.remote = remote
        self.path = path
    }

    /// RFC 3986, section 5.2, as far as descriptions need it: a whole URL, one from the root, or one relative to this.
    func resolving(_ reference: String) -> GatewayURL? {
        if reference.contains("://") { return GatewayURL(reference, at: remote.ip) }
        guard !reference.isEmpty, reference.utf8.count + path.utf8.count <= GatewayURL.bytes,
            reference.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }), !reference.hasPrefix("//")
        else { return nil }
        if reference.hasPrefix("/") { return GatewayURL(remote, reference) }
        let plain = path.prefix { $0 != "?" }
        let folder = plain.lastIndex(of: "/").map { plain[...$0] } ?? "/"
        return GatewayURL(remote, folder + reference)
    }
}
