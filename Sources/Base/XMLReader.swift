/// # A pull parser for the XML that tools and routers print
///
/// It is strict about structure, since that distinguishes a truncated report from a complete one. Every element is
/// closed by its own name, and only blanks and comments are outside of the one root element. It is bounded in depth and
/// size, and not recursive. It supports no entity definitions, so a document cannot expand beyond its own size. A
/// DOCTYPE is skipped, and one with an internal subset is refused.
///
/// It is lenient in two points. nvidia-smi writes the names of arbitrary processes into its report. A worker's name
/// must not make the report unreadable. So an ampersand that begins no known entity is literal text, and `rawText`
/// reads everything up to a named end tag. Text may hold bytes that are not UTF-8.
package struct XMLReader {
    package enum Event: Hashable, Sendable {
        /// `name` has begun; `attribute(_:)` looks into its tag.
        case start
        /// A piece of `text`; several may follow each other.
        case text
        /// `name` has ended.
        case end
    }

    private let bytes: [UInt8]
    private let maximumDepth: Int
    /// Of one name in an error's place.
    private static let nameBytes = 256
    /// Bytes consumed.
    package private(set) var offset = 0
    /// Names of the open elements, as ranges of `bytes`.
    private var open: [Range<Int>] = []
    private var attributes = 0..<0
    private var nameRange = 0..<0
    /// The character data of the last `.text`, entities replaced.
    package private(set) var text: [UInt8] = []
    private var isEmptyElement = false
    /// The root element has been closed.
    package private(set) var isComplete = false

    /// Throws `.tooLarge` for a document of more than `maximumBytes`, and later for elements nested deeper than
    /// `maximumDepth`.
    package init(
        _ bytes: [UInt8], from start: Int = 0, maximumBytes: Int, maximumDepth: Int = 32
    ) throws(XMLError) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
        offset = min(max(0, start), bytes.count)
        guard bytes.count <= maximumBytes else {
            throw XMLError(.tooLarge, "document", line: 1, "\(bytes.count) bytes")
        }
        if bytes[offset...].starts(with: [0xef, 0xbb, 0xbf]) { offset += 3 }
    }

    /// Name of the element that the last event began or ended.
    package var name: String { String(decoding: bytes[nameRange], as: UTF8.self) }
    package var depth: Int { open.count }

    /// The next event; always `nil` after the root element has been closed.
    package mutating func next() throws(XMLError) -> Event? {
        if isEmptyElement {
            isEmptyElement = false
            return close()
        }
        while !isComplete {
            guard offset < bytes.count else { throw failure(.truncated) }
            if bytes[offset] != UInt8(ascii: "<") {
                if try characterData() { return .text }
            } else if starts("<!--") {
                try skip(past: "-->", from: offset + 4)
            } else if starts("<![CDATA[") {
                guard !open.isEmpty else { throw failure(.malformed, "character data outside the root element") }
                let start = offset + 9
                try skip(past: "]]>", from: start)
                text = Array(bytes[start..<offset - 3])
                return .text
            } else if starts("<?") {
                try skip(past: "?>", from: offset + 2)
            } else if starts("<!DOCTYPE") {
                try skipDocumentType()
            } else if starts("</") {
                return try endTag()
            } else {
                return try startTag()
            }
        }
        return nil
    }

    /// After `.start`: everything up to the end tag of that element, taken as text, and the end tag consumed.
    package mutating func rawText() throws(XMLError) -> [UInt8] {
        precondition(!open.isEmpty, "rawText outside of an element")
        if isEmptyElement {
            isEmptyElement = false
            _ = close()
            return []
        }
        let start = offset
        let tag = Array("</".utf8) + bytes[open[open.count - 1]]
        var at = start
        while at + tag.count < bytes.count {
            if bytes[at] == UInt8(ascii: "<"), bytes[at..<at + tag.count].elementsEqual(tag) {
                let after = bytes[at + tag.count]
                if after == UInt8(ascii: ">") || after.isBlank {
                    decode(start..<at)
                    offset = at
                    _ = try endTag()
                    return text
                }
            }
            at += 1
        }
        throw failure(.truncated)
    }

    /// After `.start`: the value of an attribute; `nil` where the tag has none of that name.
    package func attribute(_ key: String) -> [UInt8]? {
        var at = attributes.lowerBound
        while let (name, value, next) = attribute(at: at, end: attributes.upperBound) {
            if bytes[name].elementsEqual(key.utf8) { return Array(bytes[value]) }
            at = next
        }
        return nil
    }

    /// An error at the present place, named by the path of open elements.
    package func failure(_ reason: XMLError.Reason, _ detail: String = "") -> XMLError {
        let path = open.map { String(decoding: bytes[$0].prefix(XMLReader.nameBytes), as: UTF8.self) }
        let line = bytes[..<min(offset, bytes.count)].count { $0 == UInt8(ascii: "\n") } + 1
        return XMLError(
            reason, path.isEmpty ? "document" : path.joined(separator: "/"), line: line, at: offset, detail)
    }
}

extension XMLReader {
    private func starts(_ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard bytes.count - offset >= count else { return false }
        return literal.withUTF8Buffer { bytes[offset..<offset + count].elementsEqual($0) }
    }

    /// Moves past the next `literal` at or after `start`.
    private mutating func skip(past literal: StaticString, from start: Int) throws(XMLError) {
        let count = literal.utf8CodeUnitCount
        var at = start
        let found = literal.withUTF8Buffer { expected in
            while at + count <= bytes.count {
                if bytes[at] == expected[0], bytes[at..<at + count].elementsEqual(expected) { return true }
                at += 1
            }
            return false
        }
        guard found else { throw failure(.truncated) }
        offset = at + count
    }

    private mutating func skipDocumentType() throws(XMLError) {
        guard open.isEmpty else { throw failure(.malformed, "DOCTYPE inside an element") }
        var at = offset
        var quote: UInt8?
        while at < bytes.count {
            let byte = bytes[at]
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: "[") {
                throw failure(.unsupported, "internal DTD subset")
            } else if byte == UInt8(ascii: ">") {
                offset = at + 1
                return
            }
            at += 1
        }
        throw failure(.truncated)
    }

    /// Text up to the next `<`; false where it is the blanks between things outside the root.
    private mutating func characterData() throws(XMLError) -> Bool {
        let start = offset
        var end = start
        while end < bytes.count, bytes[end] != UInt8(ascii: "<") { end += 1 }
        if open.isEmpty {
            if let stray = bytes[start..<end].firstIndex(where: { !$0.isBlank }) {
                offset = stray
                throw failure(.malformed, "text outside the root element")
            }
            offset = end
            return false
        }
        offset = end
        decode(start..<end)
        return true
    }

    private mutating func startTag() throws(XMLError) -> Event {
        let name = try name(from: offset + 1)
        guard open.count < maximumDepth else { throw failure(.tooLarge, "elements nested too deep") }
        var at = name.upperBound
        let first = at
        while let (_, _, next) = attribute(at: at, end: bytes.count) { at = next }
        attributes = first..<at
        while at < bytes.count, bytes[at].isBlank { at += 1 }
        isEmptyElement = at < bytes.count && bytes[at] == UInt8(ascii: "/")
        if isEmptyElement { at += 1 }
        guard at < bytes.count else { throw failure(.truncated) }
        guard bytes[at] == UInt8(ascii: ">") else {
            isEmptyElement = false
            guard bytes[at...].contains(UInt8(ascii: ">")) else { throw failure(.truncated) }
            throw failure(.malformed, "in the tag of \(String(decoding: bytes[name].prefix(64), as: UTF8.self))")
        }
        offset = at + 1
        open.append(name)
        nameRange = name
        return .start
    }

    private mutating func endTag() throws(XMLError) -> Event {
        let name = try name(from: offset + 2)
        guard let last = open.last, bytes[last].elementsEqual(bytes[name]) else {
            throw failure(.malformed, "end of \(String(decoding: bytes[name].prefix(64), as: UTF8.self))")
        }
        var at = name.upperBound
        while at < bytes.count, bytes[at].isBlank { at += 1 }
        guard at < bytes.count else { throw failure(.truncated) }
        guard bytes[at] == UInt8(ascii: ">") else { throw failure(.malformed, "in an end tag") }
        offset = at + 1
        return close()
    }

    private mutating func close() -> Event {
        nameRange = open.removeLast()
        isComplete = open.isEmpty
        return .end
    }

    private func name(from start: Int) throws(XMLError) -> Range<Int> {
        let end = nameEnd(start)
        if end == bytes.count { throw failure(.truncated) }
        guard end > start else { throw failure(.malformed, "a tag without a name") }
        return start..<end
    }

    private func nameEnd(_ start: Int) -> Int {
        var at = start
        while at < bytes.count {
            switch bytes[at] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                UInt8(ascii: ":"), 0x80...:
                break
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
                if at == start { return at }
            default: return at
            }
            at += 1
        }
        return at
    }

    /// ` name="value"` at `start`: both ranges and the offset after it; `nil` where no whole attribute stands there.
    private func attribute(at start: Int, end: Int) -> (name: Range<Int>, value: Range<Int>, next: Int)? {
        var at = start
        while at < end, bytes[at].isBlank { at += 1 }
        guard at > start else { return nil }
        let name = at..<min(nameEnd(at), end)
        at = name.upperBound
        while at < end, bytes[at].isBlank { at += 1 }
        guard !name.isEmpty, at < end, bytes[at] == UInt8(ascii: "=") else { return nil }
        at += 1
        while at < end, bytes[at].isBlank { at += 1 }
        guard at < end, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'") else { return nil }
        guard let close = bytes[at + 1..<end].firstIndex(of: bytes[at]) else { return nil }
        return (name, at + 1..<close, close + 1)
    }

    /// Replaces the five entities of XML and character references.
    private mutating func decode(_ range: Range<Int>) {
        text.removeAll(keepingCapacity: true)
        var at = range.lowerBound
        while at < range.upperBound {
            if bytes[at] == UInt8(ascii: "&"),
                let end = bytes[at..<min(at + 12, range.upperBound)].firstIndex(of: UInt8(ascii: ";")),
                let scalar = entity(bytes[at + 1..<end])
            {
                text.append(contentsOf: String(scalar).utf8)
                at = end + 1
            } else {
                text.append(bytes[at])
                at += 1
            }
        }
    }

    private func entity(_ name: ArraySlice<UInt8>) -> Unicode.Scalar? {
        let name = String(decoding: name, as: UTF8.self)
        switch name {
        case "lt": return "<"
        case "gt": return ">"
        case "amp": return "&"
        case "quot": return "\""
        case "apos": return "'"
        default:
            let digits = name.dropFirst()
            guard name.hasPrefix("#"), let first = digits.utf8.first, first.isDigit || first == UInt8(ascii: "x") else {
                return nil
            }
            let isHexadecimal = first == UInt8(ascii: "x")
            let value = isHexadecimal ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            return value.flatMap(Unicode.Scalar.init)
        }
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
    fileprivate var isBlank: Bool { self == 32 || self == 9 || self == 10 || self == 13 }
}

/// Why a document could not be read, and where.
package struct XMLError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// The text ends inside the place named.
        case truncated
        /// The text does not follow the grammar.
        case malformed
        /// Longer or deeper than what the reader was given as limits.
        case tooLarge
        /// Valid XML that is refused here: an internal DTD subset.
        case unsupported
    }
    package var reason: Reason
    /// The open elements, such as `root/device`.
    package var place: String
    /// From 1.
    package var line: Int
    /// Bytes before the mistake.
    package var offset: Int
    package var detail: String

    package init(_ reason: Reason, _ place: String, line: Int, at offset: Int = 0, _ detail: String = "") {
        self.reason = reason
        self.place = place
        self.line = line
        self.offset = offset
        self.detail = detail
    }
}
