import Base
import Control

// Shapes of JSON in the form of JSON Schema.

extension OpenAPI {
    /// A shape where it is used: an object is a reference to its description.
    static func json(_ schema: Schema) -> JSONValue {
        switch schema {
        case .text: .of(["type": .string("string")])
        case .flag: .of(["type": .string("boolean")])
        case .integer: .of(["type": .string("integer")])
        case .count: .of(["type": .string("integer"), "minimum": .number("0")])
        case .time: .of(["type": .string("integer"), "description": .string("Milliseconds since 1970")])
        case .node: .of(["type": .string("string"), "pattern": .string("^[0-9a-f]{64}$")])
        case .address: .of(["type": .string("string"), "description": .string("IP:PORT or [IPv6]:PORT")])
        case .ip: .of(["type": .string("string"), "description": .string("An IPv4 or IPv6 address")])
        case .base64: .of(["type": .string("string"), "contentEncoding": .string("base64")])
        case .choice(let values): .of(["type": .string("string"), "enum": .array(values.map(JSONValue.string))])
        case .list(let element): .of(["type": .string("array"), "items": json(element)])
        case .object(let object): .of(["$ref": .string("#/components/schemas/\(object.name)")])
        }
    }

    /// All objects that the routes' answers, bodies and errors lead to, each once.
    static var schemas: [JSONMember] {
        var found: [Schema.Object] = []
        collect(failure, into: &found)
        for route in Route.all {
            if let body = route.http.body { collect(body.schema, into: &found) }
            collect(route.answer, into: &found)
        }
        return found.map { JSONMember($0.name, description(of: $0)) }
    }

    private static func collect(_ schema: Schema, into found: inout [Schema.Object]) {
        switch schema {
        case .list(let element): collect(element, into: &found)
        case .object(let object):
            guard !found.contains(object) else { return }
            found.append(object)
            for member in object.members { collect(member.schema, into: &found) }
        case .text, .flag, .integer, .count, .time, .node, .address, .ip, .base64, .choice: break
        }
    }

    /// An object with its members and no others.
    private static func description(of object: Schema.Object) -> JSONValue {
        let type = JSONMember("type", .string("object"))
        // The OpenAPI document itself has members that only its own specification can list.
        guard !object.members.isEmpty else { return .object([type]) }
        let required = object.members.filter(\.isRequired).map { JSONValue.string($0.name) }
        var members = [
            type, JSONMember("properties", .object(object.members.map { JSONMember($0.name, json($0.schema)) })),
        ]
        if !required.isEmpty { members.append(JSONMember("required", .array(required))) }
        members.append(JSONMember("additionalProperties", .bool(false)))
        return .object(members)
    }
}
