/// The path and the query of a request target, decoded (RFC 3986, RFC 9112 section 3.2).
///
/// The path is cut at its slashes before it is decoded, so `%2F` in a worker's name is a character of that name. What does
/// not decode to UTF-8, or decodes to a NUL, is refused: nothing we name holds one, and a C string would end there.
package struct RequestTarget: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package var name: String
        package var value: String
    }
    /// `["v1", "nodes"]` for `/v1/nodes`; a slash at the end makes an empty last segment.
    package var segments: [String]
    package var query: [Item]
    /// The host and port of a target in absolute form, which takes the place of the Host header.
    package var authority: String?

    /// `nil` for what is no path, has a fragment, or does not decode.
    package init?(_ text: String) {
        var rest = text[...]
        if rest.lowercased().hasPrefix("http://") {
            rest = rest.dropFirst("http://".count)
            let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
            authority = String(rest[..<end])
            rest = rest[end...]
        }
        guard rest.hasPrefix("/"), !rest.contains("#") else { return nil }
        let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        segments = []
        for part in parts[0].dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let segment = RequestTarget.decode(part) else { return nil }
            segments.append(segment)
        }
        query = []
        guard parts.count == 2 else { return }
        for part in parts[1].split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = RequestTarget.decode(pair[0], plusIsSpace: true),
                let value = pair.count == 2 ? RequestTarget.decode(pair[1], plusIsSpace: true) : ""
            else { return nil }
            query.append(Item(name: name, value: value))
        }
    }

    private static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "%"):
                let digits = rest.prefix(2)
                guard digits.count == 2, let value = UInt8(hexDigits: digits), value != 0 else { return nil }
                bytes.append(value)
                rest = rest.dropFirst(2)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate init?(hexDigits: some Collection<UInt8>) {
        guard hexDigits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        self.init(String(decoding: hexDigits, as: UTF8.self), radix: 16)
    }
}
