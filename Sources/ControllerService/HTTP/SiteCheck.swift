import Base

/// # Who may ask, while there is no password
///
/// The HTTP API has no authentication yet: anyone who can open a connection to it may do anything. So it is served at a
/// unix socket, or at TCP with `--http-insecure` (`HTTPEndpoint`). A browser on the same machine opens TCP connections
/// for every page it shows, and a proxy in front of a unix socket forwards them. So two attacks of a hostile page are
/// refused here. A unix socket has no host name; clients send `Host: localhost`.
///
/// - *DNS rebinding*: the page's own name resolves to 127.0.0.1 after a change, so the browser connects here in place
///   of the page's site. The Host header still carries that name. Only IP addresses, `localhost`, names under
///   `.localhost` and the names that the operator configured are answered.
/// - *Cross-site requests*: the page sends a request to `http://127.0.0.1:7951`. Browsers then add `Origin` (for whatever
///   is not a plain GET or HEAD) and `Sec-Fetch-Site`. An `Origin` that is not this very host, or a fetch that the
///   browser itself calls cross-site, is refused. Bodies must moreover be `application/json`, which no form can send.
package struct SiteCheck: Hashable, Sendable {
    /// Names, in addition to `localhost`, by which people reach this server; lower case.
    package var names: [String]

    package init(names: [String] = []) { self.names = names.map { $0.lowercased() } }

    package enum Refusal: Hashable, Sendable {
        /// None, or more than one, or not a host.
        case badHost
        case foreignHost(String)
        case foreignOrigin(String)
    }

    /// `nil` where the request is allowed.
    package func refusal(of request: HTTPRequest, authority: String?) -> Refusal? {
        let hosts = request.values("host")
        guard hosts.count == 1, let text = authority ?? hosts.first, let host = SiteCheck.host(of: text) else {
            return .badHost
        }
        guard isOurs(host) else { return .foreignHost(host) }
        for origin in request.values("origin") where origin.lowercased() != "http://" + text.lowercased() {
            return .foreignOrigin(origin)
        }
        for site in request.values("sec-fetch-site") where site != "same-origin" && site != "none" {
            return .foreignOrigin(site)
        }
        return nil
    }

    private func isOurs(_ host: String) -> Bool {
        let isLocalName = host == "localhost" || host.hasSuffix(".localhost")
        return isLocalName || names.contains(host) || IPAddress(host) != nil
    }

    /// The host of `host[:port]`, lower case, an IPv6 address without its brackets; `nil` for anything else.
    static func host(of text: String) -> String? {
        let text = text.lowercased()
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]"), isPort(text[text.index(after: end)...]) else { return nil }
            let host = text[text.index(after: text.startIndex)..<end]
            guard let ip = IPAddress(host), host.contains(":") else { return nil }
            return ip.description
        }
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        let host = text[..<colon]
        guard !host.isEmpty, isPort(text[colon...]) else { return nil }
        let isName = host.utf8.allSatisfy {
            (48...57).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0)
        }
        return isName ? String(host) : nil
    }

    /// `:80`, or nothing.
    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty || (text.hasPrefix(":") && UInt16(text.dropFirst()) != nil && !text.hasPrefix(":+"))
    }
}
