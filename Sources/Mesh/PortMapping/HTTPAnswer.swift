package import Base

/// An answer of a gateway's HTTP server (RFC 9112): the parts that a description and a SOAP call need.
package struct HTTPAnswer: Hashable, Sendable {
    package let status: Int
    package let body: [UInt8]

    /// The limit of a whole answer. Descriptions have 3 to 20 kB.
    package static let bytesLimit = 128 << 10
    private static let headLimit = 16 << 10

    /// Reads a whole answer: one that is complete by its own length, or one that the end of the connection ends.
    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard bytes.count <= HTTPAnswer.bytesLimit else { throw DecodeError(.tooLong, "answer", at: 0) }
        let head = try Head(bytes)
        status = head.status
        switch head.framing {
        case .untilEnd: body = Array(bytes[head.bodyStart...])
        case .length(let count):
            guard bytes.count - head.bodyStart >= count else { throw DecodeError(.truncated, "body", at: bytes.count) }
            body = Array(bytes[head.bodyStart..<head.bodyStart + count])
        case .chunked:
            guard let whole = try HTTPAnswer.joined(bytes, from: head.bodyStart) else {
                throw DecodeError(.truncated, "chunk", at: bytes.count)
            }
            body = whole
        }
    }

    /// Whether nothing more is to come, so that the connection's end need not be waited for.
    package static func isComplete(_ bytes: [UInt8]) -> Bool {
        guard let head = try? Head(bytes) else { return false }
        switch head.framing {
        case .untilEnd: return false
        case .length(let count): return bytes.count - head.bodyStart >= count
        case .chunked: return ((try? joined(bytes, from: head.bodyStart)) ?? nil) != nil
        }
    }

    private struct Head {
        enum Framing {
            case untilEnd, chunked
            case length(Int)
        }
        private(set) var status: Int
        private(set) var framing = Framing.untilEnd
        private(set) var bodyStart: Int

        init(_ bytes: [UInt8]) throws(DecodeError) {
            var lines: [Substring] = [], at = 0
            while true {
                guard let end = bytes[at...].prefix(HTTPAnswer.headLimit).firstIndex(of: UInt8(ascii: "\n")) else {
                    throw DecodeError(.truncated, "head", at: at)
                }
                var line = bytes[at..<end]
                if line.last == UInt8(ascii: "\r") { line.removeLast() }
                at = end + 1
                if line.isEmpty, !lines.isEmpty { break }
                guard at <= HTTPAnswer.headLimit else { throw DecodeError(.tooLong, "head", at: at) }
                lines.append(String(decoding: line, as: UTF8.self)[...])
            }
            bodyStart = at
            let words = lines[0].split(separator: " ")
            guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let code = Int(words[1]),
                code >= 100
            else { throw DecodeError(.invalidValue, "status line", at: 0) }
            status = code
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].trimmed.lowercased()
                switch line[..<colon].lowercased() {
                case "content-length":
                    guard value.utf8.count <= 7, value.utf8.allSatisfy({ (48...57).contains($0) }),
                        let count = Int(value), count <= HTTPAnswer.bytesLimit
                    else { throw DecodeError(.invalidValue, "Content-Length", at: 0) }
                    if case .chunked = framing { continue }
                    framing = .length(count)
                case "transfer-encoding":
                    guard value == "chunked" else { throw DecodeError(.invalidValue, "Transfer-Encoding", at: 0) }
                    framing = .chunked
                default: continue
                }
            }
        }
    }

    /// The chunks joined; `nil` where the last one has not come.
    private static func joined(_ bytes: [UInt8], from start: Int) throws(DecodeError) -> [UInt8]? {
        var body: [UInt8] = [], at = start
        while let end = bytes[at...].prefix(64).firstIndex(of: UInt8(ascii: "\n")) {
            let text = String(decoding: bytes[at..<end], as: UTF8.self).prefix { $0 != ";" }.trimmed
            guard (1...5).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "+"),
                text.utf8.first != UInt8(ascii: "-"), let count = Int(text, radix: 16)
            else { throw DecodeError(.invalidValue, "chunk size", at: at) }
            if count == 0 { return body }
            guard bytes.count - (end + 1) >= count else { return nil }
            body += bytes[end + 1..<end + 1 + count]
            at = end + 1 + count
            // The line end after the chunk.
            if at < bytes.count, bytes[at] == UInt8(ascii: "\r") { at += 1 }
            if at < bytes.count, bytes[at] == UInt8(ascii: "\n") { at += 1 }
        }
        guard bytes.count - at < 64 else { throw DecodeError(.invalidValue, "chunk size", at: at) }
        return nil
    }
}

extension StringProtocol {
    /// Without whitespace at its ends.
    var trimmed: String {
        let blanks: [Character] = [" ", "\t", "\r", "\n", "\r\n"]
        guard let first = firstIndex(where: { !blanks.contains($0) }),
            let last = lastIndex(where: { !blanks.contains($0) })
        else { return "" }
        return String(self[first...last])
    }
}
