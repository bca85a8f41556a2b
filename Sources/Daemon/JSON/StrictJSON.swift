package import Base
package import Control
import FoundationEssentials
import Wire

/// # Strict decoding
///
/// Requests of people and programs arrive as JSON, and a request that is nearly right is wrong: if a misspelt `gracSeconds`
/// is ignored, a worker is killed too early. So an unknown member is an error that names it by its path
/// (`spec.limits.memroyBytes`). The same holds for a member that is missing or of the wrong type, and for a number out of
/// range. Where one typing error causes two faults, an unknown and a missing member, the unknown one is reported.
///
/// A member with a usual value may be left out; the type itself declares these members (`HasUsualMembers`).
/// `null` is the same as leaving a member out.
package enum StrictJSON {
    package static func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, from bytes: [UInt8]
    ) throws(StrictJSONError) -> Value {
        try decode(from: bytes) { try StrictDecoder.decode(type, from: $0) }
    }

    /// For values with their own way of decoding; a member that they do not read is unknown.
    package static func decode<Value>(
        from bytes: [UInt8], _ make: (any Decoder) throws -> Value
    ) throws(StrictJSONError) -> Value {
        let value: JSONValue
        do throws(JSONSyntaxError) { value = try JSONValue(parsing: bytes) } catch {
            throw StrictJSONError(.syntax(error), path: "")
        }
        return try decode(from: value, make)
    }

    package static func decode<Value>(
        from document: JSONValue, _ make: (any Decoder) throws -> Value
    ) throws(StrictJSONError) -> Value {
        let strictness = Strictness()
        let decoder = StrictDecoder(document, codingPath: [], strictness: strictness)
        strictness.open(document, at: [])
        do {
            let value = try make(decoder)
            if let unknown = strictness.firstUnknown() { throw unknown }
            return value
        } catch {
            throw strictness.firstUnknown() ?? StrictJSONError(error)
        }
    }

    /// Reads the parameters of one of the controller's methods.
    package static func request(
        _ method: VerbMethod<ControllerRequest>, parameters: [UInt8]
    ) throws(StrictJSONError) -> ControllerRequest {
        try parameterized(parameters) { try ControllerRequest(method, from: $0) }
    }

    /// Reads the parameters of one of the agent's methods.
    package static func request(
        _ method: VerbMethod<AgentRequest>, parameters: [UInt8]
    ) throws(StrictJSONError) -> AgentRequest {
        try parameterized(parameters) { try AgentRequest(method, from: $0) }
    }

    private static func parameterized<Value>(
        _ bytes: [UInt8], _ make: (any Decoder) throws -> Value
    ) throws(StrictJSONError) -> Value {
        try decode(from: bytes) { decoder in
            _ = try decoder.container(keyedBy: NoKey.self)
            return try make(decoder)
        }
    }

    /// The bytes of a value: members sorted by name, so that equal values have equal bytes.
    package static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Views hold no floating-point numbers, and all their keys are strings, so writing them cannot fail.
        return Array(try! encoder.encode(value))
    }
}

/// Reads no member, and so only checks that there is an object.
private enum NoKey: CodingKey {}

/// What is wrong with a document, and where.
package struct StrictJSONError: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        case syntax(JSONSyntaxError)
        case unknown
        case missing
        case wrong(String)
    }
    package private(set) var reason: Reason
    /// `spec.command[2]`; empty for the document itself.
    package private(set) var path: String

    init(_ reason: Reason, path: String) {
        self.reason = reason
        self.path = path
    }

    package var apiError: APIError { APIError(.invalid, description, field: path.isEmpty ? nil : path) }
}

extension StrictJSONError: CustomStringConvertible {
    package var description: String {
        switch reason {
        case .syntax(let error): "malformed JSON: \(error)"
        case .unknown: "'\(path)' is not known here"
        case .missing: "'\(path)' is missing"
        case .wrong(let message): path.isEmpty ? "the document \(message)" : "'\(path)' \(message)"
        }
    }
}

extension StrictJSON {
    /// The members of a value, as JSON; those in `required` left out.
    static func members(of value: some Encodable, required: [String] = []) -> [JSONMember] {
        // What we have encoded ourselves is JSON.
        guard case .object(let members) = try! JSONValue(parsing: encode(value)) else { return [] }
        return members.filter { !required.contains($0.name) }
    }
}
