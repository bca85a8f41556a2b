import Base

/// The strict JSON reader with this module's limits (`HealthLimits`), its numbers (`DecimalNumber`) and its errors.
package struct ContractReader {
    private var json: JSONReader

    /// `firstLine` is the line of the file on which this document begins.
    package init(_ bytes: [UInt8], firstLine: Int = 1) throws(HealthError) {
        guard bytes.count <= HealthLimits.jsonBytes else {
            throw HealthError(.tooLarge, "document", line: firstLine, "\(bytes.count) bytes")
        }
        var limits = JSONReader.Limits()
        limits.depth = HealthLimits.jsonDepth
        limits.keysPerObject = HealthLimits.jsonKeysPerObject
        limits.stringBytes = HealthLimits.textBytes
        limits.numberBytes = HealthLimits.numberBytes
        json = JSONReader(bytes, limits: limits, firstLine: firstLine)
    }

    package mutating func beginObject() throws(HealthError) {
        try read { json throws(JSONSyntaxError) in try json.beginObject() }
    }
    package mutating func beginArray() throws(HealthError) {
        try read { json throws(JSONSyntaxError) in try json.beginArray() }
    }
    /// The next key of the innermost object; `nil` at the object's end.
    package mutating func nextKey() throws(HealthError) -> String? {
        try read { json throws(JSONSyntaxError) in try json.nextKey() }
    }
    /// True where the innermost array has another element, which must then be read.
    package mutating func nextElement() throws(HealthError) -> Bool {
        try read { json throws(JSONSyntaxError) in try json.nextElement() }
    }
    /// Consumes `null` if it comes next.
    package mutating func takeNull() throws(HealthError) -> Bool {
        try read { json throws(JSONSyntaxError) in try json.takeNull() }
    }
    package mutating func boolean() throws(HealthError) -> Bool {
        try read { json throws(JSONSyntaxError) in try json.boolean() }
    }
    /// A string of at most `HealthLimits.textBytes`.
    package mutating func string() throws(HealthError) -> String {
        try read { json throws(JSONSyntaxError) in try json.string() }
    }
    /// Nothing but blanks may follow the document.
    package mutating func expectEnd() throws(HealthError) {
        try read { json throws(JSONSyntaxError) in try json.expectEnd() }
    }

    package mutating func number() throws(HealthError) -> DecimalNumber {
        let digits = Array(try read { json throws(JSONSyntaxError) in try json.number() }.utf8)
        var range = digits.indices
        guard let number = DecimalNumber(readingFrom: digits, &range, exponentAllowed: true), range.isEmpty else {
            throw failure(.malformed, "number")
        }
        return number
    }

    /// For a key, just read, that the caller does not know.
    package func unknownKey() -> HealthError { failure(.unknownKey, "\"\(json.lastKey)\"") }

    /// A mistake in what was just read.
    package func failure(_ reason: HealthError.Reason, _ detail: String = "") -> HealthError {
        // The reason is replaced: the reader itself knows only errors of the grammar.
        var error = HealthError(json.failure(.malformed, detail))
        error.reason = reason
        return error
    }

    private mutating func read<Value>(
        _ body: (inout JSONReader) throws(JSONSyntaxError) -> Value
    ) throws(HealthError) -> Value {
        do throws(JSONSyntaxError) { return try body(&json) } catch { throw HealthError(error) }
    }
}
