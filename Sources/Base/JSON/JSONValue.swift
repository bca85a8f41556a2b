/// A JSON document as it was written. Members keep their order. Numbers stay text, so that no digit of a 64-bit number is
/// lost on its way to an integer.
package enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// The digits as they were written; RFC 8259, section 6.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// In the order of writing; no name is there twice.
    case object([JSONMember])

    /// Reads a whole document of at most `JSONReader.Limits().depth` levels.
    package init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        var reader = JSONReader(bytes)
        self = try JSONValue(reading: &reader)
        try reader.expectEnd()
    }

    private init(reading reader: inout JSONReader) throws(JSONSyntaxError) {
        switch try reader.nextKind() {
        case .null:
            _ = try reader.takeNull()
            self = .null
        case .boolean: self = .bool(try reader.boolean())
        case .number: self = .number(try reader.number())
        case .string: self = .string(try reader.string())
        case .array:
            var values: [JSONValue] = []
            try reader.beginArray()
            while try reader.nextElement() { values.append(try JSONValue(reading: &reader)) }
            self = .array(values)
        case .object:
            var members: [JSONMember] = []
            try reader.beginObject()
            while let name = try reader.nextKey() {
                members.append(JSONMember(name, try JSONValue(reading: &reader)))
            }
            self = .object(members)
        }
    }

    /// The kind of value, for messages.
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
