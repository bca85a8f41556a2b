import Base
import Control
import ControllerService
import Daemon
import Testing
import Wire

/// The document against the routes, against the rules of OpenAPI 3.1, and against what the views really encode to.
@Suite struct OpenAPITests {
    private static let document = try! JSONValue(parsing: OpenAPI.bytes)

    @Test func `it has the members that OpenAPI asks for`() throws {
        let document = OpenAPITests.document
        #expect(document["openapi"] == .string("3.1.0"))
        #expect(document["info"]?["title"] != nil && document["info"]?["version"] == .string(AsterismVersion.current))
        var identifiers: [String] = []
        for path in members(document["paths"]) {
            #expect(path.name.hasPrefix("/"))
            for operation in members(path.value) {
                #expect(["get", "post", "delete"].contains(operation.name))
                #expect(!text(operation.value["summary"]).isEmpty)
                identifiers.append(text(operation.value["operationId"]))
                #expect(!members(operation.value["responses"]).isEmpty)
            }
        }
        #expect(Set(identifiers).count == identifiers.count && !identifiers.contains(""))
    }

    @Test func `every route is in it with its parameters and its answer, and nothing else is`() throws {
        var count = 0
        for route in Route.all {
            let http = route.http
            let place = "\(http.method.rawValue) \(http.template)"
            let operation = try #require(
                OpenAPITests.document["paths"]?[http.template]?[http.method.rawValue.lowercased()], "\(place)")
            count += 1
            #expect(operation["operationId"] == .string(route.operation) && !route.summary.isEmpty)
            let parameters = items(operation["parameters"])
            #expect(
                parameters.filter { $0["in"] == .string("path") }.map { text($0["name"]) } == http.pathParameters,
                "\(place)")
            #expect(parameters.filter { $0["in"] == .string("path") }.allSatisfy { $0["required"] == .bool(true) })
            #expect(
                parameters.filter { $0["in"] == .string("query") }.map { text($0["name"]) } == http.query.map(\.name))
            let schema = try #require(
                operation["responses"]?[String(http.status)]?["content"]?["application/json"]?["schema"], "\(place)")
            #expect(isReference(schema, to: route.answer), "\(place)")
            #expect(operation["responses"]?["default"]?["$ref"] == .string("#/components/responses/Error"))
            #expect(operation["requestBody"]?["required"] == http.body.map { JSONValue.bool($0.isRequired) })
            if let body = http.body {
                let schema = operation["requestBody"]?["content"]?["application/json"]?["schema"] ?? .null
                #expect(isReference(schema, to: body.schema), "\(place)")
            }
        }
        let operations = members(OpenAPITests.document["paths"]).flatMap { members($0.value) }
        #expect(operations.count == count)
    }

    /// A reference to the object that is described, or an array of such references.
    private func isReference(_ value: JSONValue, to schema: Schema) -> Bool {
        switch schema {
        case .object(let object): value["$ref"] == .string("#/components/schemas/\(object.name)")
        case .list(let element): value["items"].map { isReference($0, to: element) } ?? false
        default: false
        }
    }

    @Test func `every reference leads somewhere, and every schema is led to`() {
        var references: Set<String> = []
        collect(OpenAPITests.document, into: &references)
        let schemas = members(OpenAPITests.document["components"]?["schemas"]).map { "#/components/schemas/\($0.name)" }
        let responses = members(OpenAPITests.document["components"]?["responses"]).map {
            "#/components/responses/\($0.name)"
        }
        #expect(references == Set(schemas + responses))
    }

    @Test func `every schema has a known shape`() {
        for schema in members(OpenAPITests.document["components"]?["schemas"]) {
            #expect(schema.value["type"] == .string("object"), "\(schema.name)")
            let properties = Set(members(schema.value["properties"]).map(\.name))
            #expect(properties.isSuperset(of: items(schema.value["required"]).map(text)), "\(schema.name)")
            for property in members(schema.value["properties"]) {
                let isTyped = property.value["type"] != nil || property.value["$ref"] != nil
                #expect(isTyped, "\(schema.name).\(property.name)")
            }
        }
    }

    @Test func `full and bare values match their schemas`() throws {
        try check(Examples.node(isFull: true), Examples.node(isFull: false), "Node")
        try check(Examples.worker(isFull: true), Examples.worker(isFull: false), "Worker")
        try check(Examples.accelerator(isFull: true), Examples.accelerator(isFull: false), "NodeAccelerator")
        let coded = APIError([SpecProblem("a", "b")])
        try check(["error": coded], ["error": APIError(.limit, "x")], "Failure")
        try check(Examples.spec, nil, "WorkerSpec")
        try check(
            WorkersRun(name: "a", node: "b", spec: Examples.spec, operation: "c"), nil,
            "RunParameters")
        try check(
            TokensCreate(ttlSeconds: 1, uses: 1, name: "a", isForBeacons: true),
            TokensCreate(),
            "TokenParameters")
        for (name, type, full, bare) in Examples.texts {
            func again<View: Codable>(_ type: View.Type) throws {
                let value = try StrictJSON.decode(type, from: Array(full.utf8))
                try check(value, try StrictJSON.decode(type, from: Array(bare.utf8)), name)
                // Decoding and encoding loses nothing of the example, so it names every member.
                #expect(
                    try JSONValue(parsing: StrictJSON.encode(value)).sorted
                        == JSONValue(parsing: Array(full.utf8)).sorted)
            }
            try again(type)
        }
    }

    /// `full` has every member that the schema has, `bare` only those that are required.
    private func check<Value: Encodable>(_ full: Value, _ bare: Value?, _ schema: String) throws {
        let schemaValue = OpenAPI.reference(named: schema)
        let full = try JSONValue(parsing: StrictJSON.encode(full))
        var faults = Conformance(isFull: true).faults(of: full, schemaValue, at: schema)
        if let bare {
            let bare = try JSONValue(parsing: StrictJSON.encode(bare))
            faults += Conformance(isFull: false).faults(of: bare, schemaValue, at: schema)
            let required = Set(items(Conformance.resolve(schemaValue)["required"]).map(text))
            if Set(members(bare).map(\.name)) != required { faults.append("\(schema): bare is not what is required") }
        }
        #expect(faults.isEmpty, "\(faults)")
    }
}

/// Does a value have the shape that a schema gives?
private struct Conformance {
    /// Objects must have every property, not only the required ones.
    var isFull: Bool

    static func resolve(_ schema: JSONValue) -> JSONValue {
        guard case .string(let reference)? = schema["$ref"] else { return schema }
        let name = String(reference.split(separator: "/").last ?? "")
        return OpenAPI.document["components"]?["schemas"]?[name] ?? .null
    }

    func faults(of value: JSONValue, _ schema: JSONValue, at place: String) -> [String] {
        let schema = Conformance.resolve(schema)
        switch (text(schema["type"]), value) {
        case ("object", .object(let found)):
            let properties = members(schema["properties"])
            let names = found.map(\.name)
            let required = isFull ? properties.map(\.name) : items(schema["required"]).map(text)
            var faults = required.filter { !names.contains($0) }.map { "\(place).\($0) is absent" }
            for member in found {
                if let property = properties.first(where: { $0.name == member.name }) {
                    faults += self.faults(of: member.value, property.value, at: "\(place).\(member.name)")
                } else {
                    faults.append("\(place).\(member.name) is not in the schema")
                }
            }
            return faults
        case ("array", .array(let values)):
            if isFull, values.isEmpty { return ["\(place) is empty in a full example"] }
            return values.flatMap { faults(of: $0, schema["items"] ?? .null, at: place + "[]") }
        case ("string", .string(let content)):
            let choices = items(schema["enum"])
            return choices.isEmpty || choices.contains(.string(content)) ? [] : ["\(place) is '\(content)'"]
        case ("integer", .number(let digits)): return Int64(digits) == nil ? ["\(place) is \(digits)"] : []
        case ("boolean", .bool): return []
        default: return ["\(place) is \(value.kind)"]
        }
    }
}

extension OpenAPI {
    fileprivate static func reference(named name: String) -> JSONValue {
        .object([JSONMember("$ref", .string("#/components/schemas/\(name)"))])
    }
}

extension JSONValue {
    /// Members by name.
    fileprivate var sorted: JSONValue {
        switch self {
        case .object(let members):
            .object(members.map { JSONMember($0.name, $0.value.sorted) }.sorted { $0.name < $1.name })
        case .array(let values): .array(values.map(\.sorted))
        case .null, .bool, .number, .string: self
        }
    }
}

private func members(_ value: JSONValue?) -> [JSONMember] {
    if case .object(let members)? = value { members } else { [] }
}
private func items(_ value: JSONValue?) -> [JSONValue] {
    if case .array(let values)? = value { values } else { [] }
}
private func text(_ value: JSONValue?) -> String { if case .string(let text)? = value { text } else { "" } }

private func collect(_ value: JSONValue, into references: inout Set<String>) {
    if case .string(let reference)? = value["$ref"] { references.insert(reference) }
    for member in members(value) { collect(member.value, into: &references) }
    for item in items(value) { collect(item, into: &references) }
}
