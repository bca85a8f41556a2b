/// # Where HTTP has a verb
///
/// The parameters of a verb are one JSON object, made from the path, the query and the body. It is decoded as strictly as
/// the parameters of JSON-RPC. So both protocols have the same parameters, the same checks and the same error messages.
package struct HTTPRoute: Hashable, Sendable {
    package enum Method: String, Hashable, Sendable, CaseIterable {
        case get = "GET"
        case post = "POST"
        case delete = "DELETE"
    }
    package enum Kind: Hashable, Sendable {
        case text
        case integer(minimum: Int64?)
    }
    package struct Query: Hashable, Sendable {
        package let name: String
        package let kind: Kind
        package let meaning: String

        package init(_ name: String, _ kind: Kind, _ meaning: String) {
            self.name = name
            self.kind = kind
            self.meaning = meaning
        }
    }
    package struct Body: Hashable, Sendable {
        /// A JSON object.
        package let schema: Schema
        /// Where it is not, no body is the same as an empty object.
        package let isRequired: Bool

        package static func required(_ schema: Schema) -> Body { Body(schema: schema, isRequired: true) }
        package static func optional(_ schema: Schema) -> Body { Body(schema: schema, isRequired: false) }
    }

    package let method: Method
    /// Such as `/v1/workers/{name}/stop`.
    package let template: String
    /// In place of the verb's, where HTTP means one program alone.
    package private(set) var summary: String?
    package private(set) var query: [Query] = []
    package private(set) var body: Body?
    /// What is answered where all went well.
    package private(set) var status = 200

    package static func get(_ template: String, summary: String? = nil, query: [Query] = []) -> HTTPRoute {
        HTTPRoute(method: .get, template: template, summary: summary, query: query)
    }
    package static func post(_ template: String, body: Body, status: Int = 200) -> HTTPRoute {
        HTTPRoute(method: .post, template: template, body: body, status: status)
    }
    package static func delete(_ template: String, query: [Query] = []) -> HTTPRoute {
        HTTPRoute(method: .delete, template: template, query: query)
    }

    package var segments: [Substring] { template.dropFirst().split(separator: "/", omittingEmptySubsequences: false) }

    /// The names in braces.
    package var pathParameters: [String] { segments.compactMap(HTTPRoute.parameter) }

    /// The name of a segment in braces.
    package static func parameter(_ segment: Substring) -> String? {
        segment.hasPrefix("{") && segment.hasSuffix("}") ? String(segment.dropFirst().dropLast()) : nil
    }
}
