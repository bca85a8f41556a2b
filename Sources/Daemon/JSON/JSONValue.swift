/// # JSON as it was written
///
/// A document of RFC 8259, held to the letter: no duplicate names, no comments, no trailing commas, no byte-order mark,
/// no lone surrogates, nothing after the value. A fault is told with the line and column at which it was seen, because a
/// person has to find it. Numbers stay text, so that no digit of a 64-bit number is lost on its way to an integer.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The digits as they were written; RFC 8259, section 6.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// In the order of writing; no name is there twice.
    case object([JSONMember])

    /// Arrays and objects within each other; a stranger's brackets must not spend our stack.
    package static let depthLimit = 64

    package init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(JSONSyntaxError) in
            var parser = JSONParser(bytes)
            return try parser.document()
        }
    }

    /// What it is, for messages.
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// The member of an object; `nil` if there is none, or this is no object.
    package subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }
}

package struct JSONMember: Hashable, Sendable {
    package var name: String
    package var value: JSONValue

    package init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }
}

/// Where a document stops being JSON. Lines and columns count from 1, columns in bytes.
package struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    package var message: String
    package var offset: Int
    package var line: Int
    package var column: Int

    package var description: String { "line \(line), column \(column): \(message)" }
}

private struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0
    private var depth = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func document() throws(JSONSyntaxError) -> JSONValue {
        skipWhitespace()
        let value = try value()
        skipWhitespace()
        guard offset == bytes.count else { throw fault("there is more after the value: \(seen)") }
        return value
    }

    private mutating func value() throws(JSONSyntaxError) -> JSONValue {
        guard let byte = peek else { throw fault("a value is missing") }
        switch byte {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), 0x30...0x39: return .number(try number())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw fault("a value cannot begin with \(seen)")
        }
    }

    private mutating func object() throws(JSONSyntaxError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var members: [JSONMember] = [], names: Set<String> = []
        if take("}") { return .object([]) }
        while true {
            skipWhitespace()
            guard peek == UInt8(ascii: "\"") else { throw fault("a name in double quotes is expected, not \(seen)") }
            let start = offset
            let name = try string()
            guard names.insert(name).inserted else { throw fault("'\(name)' is there twice", at: start) }
            guard take(":") else { throw fault("':' is expected after a name, not \(seen)") }
            skipWhitespace()
            members.append(JSONMember(name, try value()))
            if take("}") { return .object(members) }
            guard take(",") else { throw fault("',' or '}' is expected, not \(seen)") }
        }
    }

    private mutating func array() throws(JSONSyntaxError) -> JSONValue {
        try enter()
        defer { depth -= 1 }
        var values: [JSONValue] = []
        if take("]") { return .array([]) }
        while true {
            skipWhitespace()
            values.append(try value())
            if take("]") { return .array(values) }
            guard take(",") else { throw fault("',' or ']' is expected, not \(seen)") }
        }
    }

    private mutating func enter() throws(JSONSyntaxError) {
        depth += 1
        guard depth <= JSONValue.depthLimit else { throw fault("more than \(JSONValue.depthLimit) levels") }
        offset += 1
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        let start = offset
        offset += 1
        var content: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let text = String(validating: content, as: UTF8.self) else {
                    throw fault("a string is not UTF-8", at: start)
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &content)
            case 0..<0x20: throw fault("a control character in a string must be escaped")
            default:
                content.append(byte)
                offset += 1
            }
        }
        throw fault("a string is not ended", at: start)
    }

    private mutating func escape(into content: inout [UInt8]) throws(JSONSyntaxError) {
        let start = offset
        offset += 1
        guard let byte = peek else { throw fault("a string is not ended", at: start) }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0c)
        case UInt8(ascii: "n"): content.append(0x0a)
        case UInt8(ascii: "r"): content.append(0x0d)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try fourDigits(start))
            if (0xd800..<0xdc00).contains(code), peek == UInt8(ascii: "\\"), offset + 1 < bytes.count,
                bytes[offset + 1] == UInt8(ascii: "u")
            {
                offset += 2
                let low = UInt32(try fourDigits(start))
                guard (0xdc00..<0xe000).contains(low) else { throw fault("half a surrogate pair", at: start) }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw fault("half a surrogate pair", at: start) }
            content += Array(String(Character(scalar)).utf8)
        default: throw fault("'\\' cannot be followed by \(describe(byte))", at: start)
        }
    }

    private mutating func fourDigits(_ start: Int) throws(JSONSyntaxError) -> UInt16 {
        guard offset + 4 <= bytes.count else { throw fault("a string is not ended", at: start) }
        var value: UInt16 = 0
        for byte in bytes[offset..<offset + 4] {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt16(byte - 0x30)
            case 0x41...0x46: value = value << 4 | UInt16(byte - 0x41 + 10)
            case 0x61...0x66: value = value << 4 | UInt16(byte - 0x61 + 10)
            default: throw fault("'\\u' takes four hexadecimal digits", at: start)
            }
        }
        offset += 4
        return value
    }

    private mutating func number() throws(JSONSyntaxError) -> String {
        let start = offset
        if peek == UInt8(ascii: "-") { offset += 1 }
        let leadingZero = peek == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0 else { throw fault("a number is missing its digits", at: start) }
        if leadingZero, whole > 1 { throw fault("a number cannot begin with 0", at: start) }
        if peek == UInt8(ascii: ".") {
            offset += 1
            guard digits() > 0 else { throw fault("a number is missing its digits", at: start) }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            offset += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
            guard digits() > 0 else { throw fault("a number is missing its digits", at: start) }
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() -> Int {
        let start = offset
        while let byte = peek, (0x30...0x39).contains(byte) { offset += 1 }
        return offset - start
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONSyntaxError) -> JSONValue {
        let end = offset + text.utf8CodeUnitCount
        guard end <= bytes.count,
            bytes[offset..<end].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: end - offset))
        else { throw fault("a value cannot begin with \(seen)") }
        offset = end
        return value
    }

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    /// Skips white space, then takes the byte if it is the next one.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipWhitespace()
        guard peek == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    private mutating func skipWhitespace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private var seen: String { peek.map(describe) ?? "the end" }

    private func describe(_ byte: UInt8) -> String {
        (0x21...0x7e).contains(byte)
            ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))"
    }

    private func fault(_ message: String, at place: Int? = nil) -> JSONSyntaxError {
        let place = place ?? offset
        let before = bytes[..<place]
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return JSONSyntaxError(
            message: message, offset: place, line: before.count { $0 == 0x0a } + 1, column: place - lineStart + 1)
    }
}
