/// # The JSON reader
///
/// A pull parser for RFC 8259 in its strict form. It refuses duplicate keys, comments, trailing commas, a byte-order mark,
/// lone surrogates, text other than UTF-8, and anything after the document. All JSON that this project reads from people and
/// tools goes through it. That is requests (`JSONValue`, then `StrictJSON` in Daemon), the output of health commands, and
/// replay traces. Depth, keys of an object, strings and numbers have limits, so that a document cannot spend more memory than
/// its own size. An error names the path (`devices[3].powerWatts`), the line, the column and the byte.
///
///     try json.beginObject()
///     while let key = try json.nextKey() {
///         switch key {
///         case "index": index = try json.number()
///         default: try json.skip()
///         }
///     }
///
/// # Why not JSONDecoder
///
/// Measured with the FoundationEssentials of Swift 6.3.1 on 2026-12-01. `JSONDecoder` silently uses the first of two members
/// of one name, and accepts a trailing comma and a byte-order mark. It ignores unknown members, has no limit except 512
/// levels, and loses the order of members. Its errors have neither line nor column. A request with a small mistake must be
/// refused with its place, so a second parser would have to run before it. It is not faster either. For a document of 507 kB
/// with 10,000 objects it needs 21 ms and 18 MB at the peak. `JSONValue` needs 11 to 20 ms and 14 MB. A small request takes
/// 4.0 to 4.7 µs against 1.6 to 2.8 µs. The command line uses `JSONDecoder` where it must accept members that a newer program
/// adds, and every program uses `JSONEncoder` for what it writes.
package struct JSONReader {
    /// The largest document that is read. The defaults limit the depth alone.
    package struct Limits: Sendable {
        /// Arrays and objects inside each other. A recursive caller spends stack on each.
        package var depth = 64
        package var keysPerObject = Int.max
        /// Of one string or key, in bytes of UTF-8, escapes replaced.
        package var stringBytes = Int.max
        /// Of one number: sign, digits, point and exponent.
        package var numberBytes = Int.max

        package init() {}
    }

    private struct Container {
        var isObject: Bool
        /// Members or elements begun.
        var count = 0
        var lastKey = ""
        /// A few keys are compared one by one; many are looked up.
        private var few: [String] = []
        private var many = Table<String, Bool>()

        init(isObject: Bool) { self.isObject = isObject }

        /// False where the key is there already.
        mutating func add(_ key: String) -> Bool {
            guard !few.contains(key), many[key] == nil else { return false }
            if few.count < 16 { few.append(key) } else { many[key] = true }
            lastKey = key
            return true
        }
    }

    private let bytes: [UInt8]
    private let limits: Limits
    private let firstLine: Int
    private var containers: [Container] = []
    /// Bytes read so far; in an error, the bytes before the mistake.
    package private(set) var offset = 0

    /// `firstLine` is the line of the file on which this document begins.
    package init(_ bytes: [UInt8], limits: Limits = Limits(), firstLine: Int = 1) {
        self.bytes = bytes
        self.limits = limits
        self.firstLine = firstLine
    }

    // MARK: - Containers

    package mutating func beginObject() throws(JSONSyntaxError) { try begin("{", isObject: true) }
    package mutating func beginArray() throws(JSONSyntaxError) { try begin("[", isObject: false) }

    /// The next key of the innermost object, its colon consumed; `nil` at the object's end.
    package mutating func nextKey() throws(JSONSyntaxError) -> String? {
        precondition(containers.last?.isObject == true, "nextKey outside of an object")
        guard try advance("}") else { return nil }
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key") }
        let at = offset, last = containers.count - 1
        let key = try string()
        guard containers[last].add(key) else {
            offset = at
            throw failure(.duplicateKey, "\"\(key)\"")
        }
        guard containers[last].count <= limits.keysPerObject else {
            throw failure(.tooLarge, "more than \(limits.keysPerObject) keys in one object")
        }
        try expect(":")
        return key
    }

    /// True where the innermost array has another element, which must then be read.
    package mutating func nextElement() throws(JSONSyntaxError) -> Bool {
        precondition(containers.last?.isObject == false, "nextElement outside of an array")
        return try advance("]")
    }

    /// Nothing but blanks may follow the document.
    package mutating func expectEnd() throws(JSONSyntaxError) {
        precondition(containers.isEmpty, "the document is still open at \(path)")
        skipBlanks()
        guard offset == bytes.count else { throw failure(.malformed, "text after the document") }
    }

    // MARK: - Values

    package enum Kind: Hashable, Sendable {
        case null, boolean, number, string, array, object
    }

    /// What comes next, not consumed.
    package mutating func nextKind() throws(JSONSyntaxError) -> Kind {
        skipBlanks()
        guard let byte = peek() else { throw unexpected("a value") }
        switch byte {
        case UInt8(ascii: "n"): return .null
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .boolean
        case UInt8(ascii: "-"), 0x30...0x39: return .number
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "{"): return .object
        default: throw unexpected("a value")
        }
    }

    /// Consumes `null` if it comes next.
    package mutating func takeNull() throws(JSONSyntaxError) -> Bool {
        skipBlanks()
        guard peek() == UInt8(ascii: "n") else { return false }
        try expectWord("null")
        return true
    }

    package mutating func boolean() throws(JSONSyntaxError) -> Bool {
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

    /// A number as it is written, so that no digit is lost; RFC 8259, section 6.
    package mutating func number() throws(JSONSyntaxError) -> String {
        skipBlanks()
        guard let first = peek(), first.isDigit || first == UInt8(ascii: "-") else { throw unexpected("a number") }
        let start = offset
        var at = start
        func skipDigits() -> Int {
            let from = at
            while at < bytes.count, bytes[at].isDigit { at += 1 }
            return at - from
        }
        if first == UInt8(ascii: "-") { at += 1 }
        let hasLeadingZero = at < bytes.count && bytes[at] == UInt8(ascii: "0")
        let whole = skipDigits()
        var isComplete = whole > 0
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            at += 1
            if skipDigits() == 0 { isComplete = false }
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            if skipDigits() == 0 { isComplete = false }
        }
        guard at - start <= limits.numberBytes else {
            throw failure(.tooLarge, "number of more than \(limits.numberBytes) bytes")
        }
        guard !hasLeadingZero || whole == 1 else { throw failure(.malformed, "number that begins with 0") }
        guard isComplete else { throw failure(.malformed, "number without its digits") }
        offset = at
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    /// Escapes are replaced.
    package mutating func string() throws(JSONSyntaxError) -> String {
        skipBlanks()
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a string") }
        let start = offset
        offset += 1
        let plain = skipPlain()
        // Most strings have no escapes, and need no separate buffer.
        if peek() == UInt8(ascii: "\"") { return try finish(bytes[plain], start) }
        var text = Array(bytes[plain])
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\""): return try finish(text[...], start)
            case UInt8(ascii: "\\"): text.append(contentsOf: String(try escape()).utf8)
            case 0..<0x20: throw failure(.malformed, "control character in a string")
            default: text += bytes[skipPlain()]
            }
            try checkLength(text.count)
        }
        offset = start
        throw failure(.truncated, "string without its end")
    }

    /// Reads a value of any kind and drops it.
    package mutating func skip() throws(JSONSyntaxError) {
        switch try nextKind() {
        case .null: _ = try takeNull()
        case .boolean: _ = try boolean()
        case .number: _ = try number()
        case .string: _ = try string()
        case .array:
            try beginArray()
            while try nextElement() { try skip() }
        case .object:
            try beginObject()
            while try nextKey() != nil { try skip() }
        }
    }

    // MARK: - Errors

    /// Where the reader is: `devices[3].powerWatts`; empty at the top.
    package var path: String {
        var path = ""
        for container in containers where container.count > 0 {
            if container.isObject {
                if !container.lastKey.isEmpty { path += path.isEmpty ? container.lastKey : ".\(container.lastKey)" }
            } else {
                path += "[\(container.count - 1)]"
            }
        }
        return path
    }

    /// The key that `nextKey` read last in the innermost object.
    package var lastKey: String { containers.last?.lastKey ?? "" }

    /// An error at the place where the reader is.
    package func failure(_ reason: JSONSyntaxError.Reason, _ message: String) -> JSONSyntaxError {
        let before = bytes[..<min(offset, bytes.count)]
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return JSONSyntaxError(
            reason: reason, message: message, path: path, offset: offset,
            line: before.count { $0 == 0x0a } + firstLine, column: offset - lineStart + 1)
    }

    private func unexpected(_ desired: String) -> JSONSyntaxError {
        failure(offset < bytes.count ? .malformed : .truncated, "expected \(desired)")
    }
}

// MARK: - Bytes

extension JSONReader {
    private func peek() -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipBlanks() {
        while let byte = peek(), byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(JSONSyntaxError) {
        skipBlanks()
        guard peek() == UInt8(ascii: character) else { throw unexpected("\"\(character)\"") }
        offset += 1
    }

    private mutating func expectWord(_ word: StaticString) throws(JSONSyntaxError) {
        let count = word.utf8CodeUnitCount
        let isThere = word.withUTF8Buffer { bytes[offset..<min(offset + count, bytes.count)].elementsEqual($0) }
        guard isThere else {
            throw failure(bytes.count - offset < count ? .truncated : .malformed, "expected \(word)")
        }
        offset += count
    }

    private mutating func begin(_ character: Unicode.Scalar, isObject: Bool) throws(JSONSyntaxError) {
        skipBlanks()
        guard peek() == UInt8(ascii: character) else { throw unexpected("\"\(character)\"") }
        guard containers.count < limits.depth else { throw failure(.tooLarge, "more than \(limits.depth) levels") }
        offset += 1
        containers.append(Container(isObject: isObject))
    }

    /// Moves past the comma to the next member. Returns false where the container ends, and closes it.
    private mutating func advance(_ close: Unicode.Scalar) throws(JSONSyntaxError) -> Bool {
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
        guard peek() != nil else { throw failure(.truncated, "expected \"\(close)\"") }
        containers[last].count += 1
        return true
    }

    // MARK: Strings

    /// Skips bytes that are not escaped.
    private mutating func skipPlain() -> Range<Int> {
        let start = offset
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { break }
            offset += 1
        }
        return start..<offset
    }

    private mutating func finish(_ content: ArraySlice<UInt8>, _ start: Int) throws(JSONSyntaxError) -> String {
        try checkLength(content.count)
        guard let string = String(validating: content, as: UTF8.self) else {
            offset = start
            throw failure(.malformed, "string is no UTF-8")
        }
        offset += 1
        return string
    }

    private func checkLength(_ count: Int) throws(JSONSyntaxError) {
        guard count <= limits.stringBytes else {
            throw failure(.tooLarge, "string of more than \(limits.stringBytes) bytes")
        }
    }

    private mutating func escape() throws(JSONSyntaxError) -> Unicode.Scalar {
        let start = offset
        do throws(JSONSyntaxError) { return try scalar() } catch {
            // The place of the whole escape helps more than that of one digit.
            offset = start
            throw failure(error.reason, error.message)
        }
    }

    private mutating func scalar() throws(JSONSyntaxError) -> Unicode.Scalar {
        offset += 1
        guard let kind = peek() else { throw failure(.truncated, "escape without its end") }
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
            guard UTF16.isLeadSurrogate(high), peek() == UInt8(ascii: "\\"), offset + 1 < bytes.count,
                bytes[offset + 1] == UInt8(ascii: "u")
            else { throw failure(.malformed, "a surrogate without its other half") }
            offset += 2
            let low = try codeUnit()
            guard UTF16.isTrailSurrogate(low) else { throw failure(.malformed, "a surrogate without its other half") }
            // Two halves always make a scalar from U+10000 to U+10FFFF.
            return Unicode.Scalar(0x10000 + (UInt32(high) - 0xd800) << 10 + (UInt32(low) - 0xdc00))!
        default: throw failure(.malformed, "unknown escape")
        }
    }

    private mutating func codeUnit() throws(JSONSyntaxError) -> UInt16 {
        guard bytes.count - offset >= 4 else { throw failure(.truncated, "escape without its end") }
        let digits = String(decoding: bytes[offset..<offset + 4], as: UTF8.self)
        guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let unit = UInt16(digits, radix: 16)
        else { throw failure(.malformed, "\\u needs four hexadecimal digits") }
        offset += 4
        return unit
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
}
