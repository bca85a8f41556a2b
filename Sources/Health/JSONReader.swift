/// # A pull parser for the JSON that commands print
///
/// RFC 8259, read value by value by somebody who knows what must come next. There is no tree: a document can make the
/// reader hold no more than the path that it is in and one string. Depth, size, keys of an object and digits of a number
/// are limited, duplicate keys are refused, text must be UTF-8 and surrogates must come in pairs. An error names the path
/// (`devices[3].powerWatts`), the line and the byte.
///
///     try json.beginObject()
///     while let key = try json.nextKey() {
///         switch key {
///         case "index": index = try json.number()
///         default: throw json.unknownKey()
///         }
///     }
package struct JSONReader {
    private struct Container {
        var isObject: Bool
        var count = 0
        var keys: [String] = []
    }

    private let bytes: [UInt8]
    private let firstLine: Int
    private var offset = 0
    private var containers: [Container] = []

    /// `firstLine` is where this document begins in the file that it is a line of.
    package init(_ bytes: [UInt8], firstLine: Int = 1) throws(HealthError) {
        self.bytes = bytes
        self.firstLine = firstLine
        guard bytes.count <= HealthLimits.jsonBytes else {
            throw HealthError(.tooLarge, "document", line: firstLine, "\(bytes.count) bytes")
        }
    }

    package mutating func beginObject() throws(HealthError) { try begin("{", isObject: true) }
    package mutating func beginArray() throws(HealthError) { try begin("[", isObject: false) }

    /// The next key of the innermost object, its colon consumed; `nil` at the object's end.
    package mutating func nextKey() throws(HealthError) -> String? {
        precondition(containers.last?.isObject == true, "nextKey outside of an object")
        guard try advance("}") else { return nil }
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key") }
        let at = offset
        let key = try string(limit: HealthLimits.textBytes)
        let last = containers.count - 1
        if containers[last].keys.contains(key) {
            offset = at
            throw failure(.duplicateKey, "\"\(key)\"")
        }
        guard containers[last].keys.count < HealthLimits.jsonKeysPerObject else {
            throw failure(.tooLarge, "more than \(HealthLimits.jsonKeysPerObject) keys in one object")
        }
        containers[last].keys.append(key)
        try expect(":")
        return key
    }

    /// True where the innermost array has another element, which must then be read.
    package mutating func nextElement() throws(HealthError) -> Bool {
        precondition(containers.last?.isObject == false, "nextElement outside of an array")
        return try advance("]")
    }

    /// Consumes `null` if it comes next.
    package mutating func takeNull() throws(HealthError) -> Bool {
        skipBlanks()
        guard peek() == UInt8(ascii: "n") else { return false }
        try expectWord("null")
        return true
    }

    package mutating func boolean() throws(HealthError) -> Bool {
        skipBlanks()
        switch peek() {
        case UInt8(ascii: "t"):
            try expectWord("true")
            return true
        case UInt8(ascii: "f"):
            try expectWord("false")
            return false
        default: throw unexpected("true or false")
        }
    }

    package mutating func number() throws(HealthError) -> DecimalNumber {
        skipBlanks()
        let start = offset
        var end = start
        while end < bytes.count, end - start <= HealthLimits.numberBytes, isNumeric(bytes[end]) { end += 1 }
        guard end > start else { throw unexpected("a number") }
        guard end - start <= HealthLimits.numberBytes else { throw failure(.tooLarge, "number") }
        var range = start..<end
        let digits = bytes[start] == UInt8(ascii: "-") ? start + 1 : start
        let hasLeadingZero = digits + 1 < end && bytes[digits] == UInt8(ascii: "0") && bytes[digits + 1].isDigit
        guard !hasLeadingZero, let number = DecimalNumber(readingFrom: bytes, &range, exponentAllowed: true),
            range.isEmpty
        else { throw failure(.malformed, "number") }
        offset = end
        return number
    }

    /// A string of at most `limit` bytes of UTF-8, escapes replaced.
    package mutating func string(limit: Int = HealthLimits.textBytes) throws(HealthError) -> String {
        skipBlanks()
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a string") }
        let start = offset
        offset += 1
        var text: [UInt8] = []
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""):
                offset += 1
                guard let string = String(validating: text, as: UTF8.self) else {
                    offset = start
                    throw failure(.malformed, "string is no UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
            case 0..<0x20: throw failure(.malformed, "control character in a string")
            default:
                text.append(byte)
                offset += 1
            }
            guard text.count <= limit else { throw failure(.tooLarge, "string of more than \(limit) bytes") }
        }
        throw failure(.truncated)
    }

    /// Nothing but blanks may follow the document.
    package mutating func expectEnd() throws(HealthError) {
        precondition(containers.isEmpty, "the document is still open at \(place)")
        skipBlanks()
        guard offset == bytes.count else { throw failure(.malformed, "text after the document") }
    }

    /// For a key, just read, that the caller does not know.
    package func unknownKey() -> HealthError {
        failure(.unknownKey, "\"\(containers.last?.keys.last ?? "")\"")
    }
    package func failure(_ reason: HealthError.Reason, _ detail: String = "") -> HealthError {
        let line = bytes[..<min(offset, bytes.count)].count { $0 == UInt8(ascii: "\n") } + firstLine
        return HealthError(reason, place, line: line, at: offset, detail)
    }
}

extension JSONReader {
    private var place: String {
        var path = ""
        for container in containers {
            if container.isObject {
                guard let key = container.keys.last else { continue }
                path += path.isEmpty ? key : ".\(key)"
            } else if container.count > 0 {
                path += "[\(container.count - 1)]"
            }
        }
        return path.isEmpty ? "document" : path
    }

    private func peek() -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipBlanks() {
        while let byte = peek(), byte.isBlank { offset += 1 }
    }

    private func unexpected(_ wanted: String) -> HealthError {
        offset < bytes.count ? failure(.malformed, "expected \(wanted)") : failure(.truncated, "expected \(wanted)")
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(HealthError) {
        skipBlanks()
        guard peek() == UInt8(ascii: character) else { throw unexpected("\"\(character)\"") }
        offset += 1
    }

    private mutating func expectWord(_ word: StaticString) throws(HealthError) {
        let count = word.utf8CodeUnitCount
        let isThere = word.withUTF8Buffer { bytes[offset..<min(offset + count, bytes.count)].elementsEqual($0) }
        guard isThere else { throw bytes.count - offset < count ? failure(.truncated) : failure(.malformed, "\(word)") }
        offset += count
    }

    private mutating func begin(_ character: Unicode.Scalar, isObject: Bool) throws(HealthError) {
        try expect(character)
        guard containers.count < HealthLimits.jsonDepth else { throw failure(.tooLarge, "nested too deep") }
        containers.append(Container(isObject: isObject))
    }

    /// Past the comma to the next member; false where the container ends, which is then left.
    private mutating func advance(_ close: Unicode.Scalar) throws(HealthError) -> Bool {
        let last = containers.count - 1
        skipBlanks()
        if peek() == UInt8(ascii: close) {
            offset += 1
            containers.removeLast()
            return false
        }
        if containers[last].count > 0 {
            try expect(",")
            skipBlanks()
        }
        guard peek() != nil else { throw failure(.truncated) }
        containers[last].count += 1
        return true
    }

    private func isNumeric(_ byte: UInt8) -> Bool {
        byte.isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
            || byte | 0x20 == UInt8(ascii: "e")
    }

    private mutating func escape() throws(HealthError) -> Unicode.Scalar {
        offset += 1
        guard let kind = peek() else { throw failure(.truncated) }
        offset += 1
        switch kind {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let high = try codeUnit()
            if let scalar = Unicode.Scalar(UInt32(high)) { return scalar }
            guard UTF16.isLeadSurrogate(high), peek() == UInt8(ascii: "\\") else {
                throw failure(.malformed, "a surrogate without its other half")
            }
            offset += 1
            guard peek() == UInt8(ascii: "u") else { throw failure(.malformed, "a surrogate without its other half") }
            offset += 1
            let low = try codeUnit()
            guard UTF16.isTrailSurrogate(low) else { throw failure(.malformed, "a surrogate without its other half") }
            // Two halves always make a scalar from U+10000 to U+10FFFF.
            return Unicode.Scalar(0x10000 + (UInt32(high) - 0xd800) << 10 + (UInt32(low) - 0xdc00))!
        default: throw failure(.malformed, "unknown escape")
        }
    }

    private mutating func codeUnit() throws(HealthError) -> UInt16 {
        guard bytes.count - offset >= 4 else { throw failure(.truncated) }
        let digits = String(decoding: bytes[offset..<offset + 4], as: UTF8.self)
        guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let unit = UInt16(digits, radix: 16)
        else { throw failure(.malformed, "\\u wants four hexadecimal digits") }
        offset += 4
        return unit
    }
}
