/// A host name with a port, such as `controller.example.org:7950`: an address that can move, because the name is resolved
/// again each time it is needed.
///
/// A name is letters, digits, `-`, `_` and `.`, at most 253 bytes (RFC 1123, section 2.1; `_` occurs in practice). It ends
/// in a label that is not all digits: `10.0.0.300` is a mistyped address and not a name.
package struct HostPort: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// In lower case: names are compared without regard to case (RFC 4343).
    package let host: String
    package let port: UInt16

    /// `nil` for a host that is not a name, or for port 0.
    package init?(host: String, port: UInt16) {
        let name = host.lowercased()
        guard port != 0, HostPort.isHost(name) else { return nil }
        self.host = name
        self.port = port
    }

    /// Reads `NAME:PORT`. An IP address with a port is not a name: `SocketAddress` reads it.
    package init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits) else {
            return nil
        }
        self.init(host: String(text[..<colon]), port: port)
    }

    package var description: String { "\(host):\(port)" }

    package static func < (left: HostPort, right: HostPort) -> Bool {
        (left.host, left.port) < (right.host, right.port)
    }

    private static func isHost(_ name: String) -> Bool {
        guard (1...253).contains(name.utf8.count) else { return false }
        var labels = name.split(separator: ".", omittingEmptySubsequences: false)
        // A final dot marks the name as complete.
        if labels.last?.isEmpty ?? false { labels.removeLast() }
        guard let last = labels.last, !last.utf8.allSatisfy({ (48...57).contains($0) }) else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                        UInt8(ascii: "-"), UInt8(ascii: "_"):
                        true
                    case _: false
                    }
                }
        }
    }
}
