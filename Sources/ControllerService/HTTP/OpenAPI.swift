package import Base
import Control
import Daemon

/// # The API's own description
///
/// An OpenAPI 3.1 document, made from the table of routes: each verb has its route and the schemas of its parameters and of
/// its answer. Tests compare the schemas with the encoding of the views.
package enum OpenAPI {
    /// The document as it is served.
    package static let bytes = StrictJSON.encode(document) + [0x0a]

    package static let document = JSONValue.of([
        "openapi": .string("3.1.0"),
        "info": .of([
            "title": .string("Asterism controller"), "version": .string(AsterismVersion.current),
            "description": .string(
                "Nodes, workers, tokens and events of a fleet. There is no authentication: anyone who can connect runs "
                    + "commands as root on every node. The server listens at a unix socket (--http unix:/PATH), or at "
                    + "a TCP port with --http-insecure. Times are milliseconds since 1970. What is not known is absent."
            ),
            "license": .of([
                "name": .string("Apache-2.0"), "identifier": .string("Apache-2.0"),
            ]),
        ]),
        "servers": .array([
            .of([
                "url": .string("http://localhost"),
                "description": .string("over the controller's unix socket, as curl --unix-socket PATH does"),
            ])
        ]),
        "paths": paths,
        "components": .of([
            "schemas": .object(schemas),
            "responses": .of([
                "Error": .of([
                    "description": .string("The request failed; the answer gives the reason"),
                    "content": jsonContent(json(failure)),
                ])
            ]),
        ]),
    ])

    /// The body of every refusal.
    static let failure = Schema.object("Failure", ["error": .of(APIError.self)])
    /// The document's own schema states only that it is an object.
    static let ownSchema = Schema.object("OpenAPI", [:])

    private static var paths: JSONValue {
        var paths: [JSONMember] = []
        for route in Route.all {
            let member = JSONMember(route.http.method.rawValue.lowercased(), operation(route))
            if let index = paths.firstIndex(where: { $0.name == route.http.template }),
                case .object(let members) = paths[index].value
            {
                paths[index].value = .object(members + [member])
            } else {
                paths.append(JSONMember(route.http.template, .object([member])))
            }
        }
        return .object(paths)
    }

    private static func operation(_ route: Route) -> JSONValue {
        var members = [
            JSONMember("summary", .string(route.summary)), JSONMember("operationId", .string(route.operation)),
        ]
        let parameters = route.http.pathParameters.map(pathParameter) + route.http.query.map(queryParameter)
        if !parameters.isEmpty { members.append(JSONMember("parameters", .array(parameters))) }
        if let body = route.http.body {
            members.append(
                JSONMember(
                    "requestBody",
                    .of(["required": .bool(body.isRequired), "content": jsonContent(json(body.schema))])))
        }
        let responses = JSONValue.of([
            String(route.http.status): .of([
                "description": .string("Done"), "content": jsonContent(json(route.answer)),
            ]),
            "default": .of(["$ref": .string("#/components/responses/Error")]),
        ])
        members.append(JSONMember("responses", responses))
        return .object(members)
    }

    private static func pathParameter(_ name: String) -> JSONValue {
        .of([
            "name": .string(name), "in": .string("path"), "required": .bool(true),
            "schema": .of(["type": .string("string"), "minLength": .number("1")]),
        ])
    }

    private static func queryParameter(_ query: HTTPRoute.Query) -> JSONValue {
        .of([
            "name": .string(query.name), "in": .string("query"), "required": .bool(false),
            "description": .string(query.meaning), "schema": schema(query.kind),
        ])
    }

    private static func schema(_ kind: HTTPRoute.Kind) -> JSONValue {
        switch kind {
        case .text: return .of(["type": .string("string")])
        case .integer(let minimum):
            var members = [JSONMember("type", .string("integer"))]
            if let minimum { members.append(JSONMember("minimum", .number(String(minimum)))) }
            return .object(members)
        }
    }

    private static func jsonContent(_ schema: JSONValue) -> JSONValue {
        .of(["application/json": .of(["schema": schema])])
    }
}

extension JSONValue {
    /// An object whose members are in the order of writing.
    static func of(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(members.map { JSONMember($0.key, $0.value) })
    }
}
