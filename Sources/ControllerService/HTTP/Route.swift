import Base
package import Control

/// # The table of what HTTP can ask
///
/// It holds the route of each verb of the controller that has one, and two of the server's own. The OpenAPI document is
/// made from this table.
package struct Route: Sendable {
    package enum Action: Sendable {
        case ask(any ControllerVerb.Type)
        case health
        case openAPI
    }

    package let http: HTTPRoute
    package let action: Action
    package let summary: String
    /// OpenAPI's name for it; a verb's is its method's.
    package let operation: String
    /// The schema of the answer where all went well.
    package let answer: Schema

    /// `nil` for a verb that HTTP does not have.
    init?(_ verb: any ControllerVerb.Type) {
        guard let route = verb.route else { return nil }
        http = route
        action = .ask(verb)
        summary = route.summary ?? verb.verb.summary
        operation = verb.verb.method
        answer = verb.answerSchema
    }

    private init(_ template: String, _ action: Action, _ operation: String, _ summary: String, _ answer: Schema) {
        http = .get(template)
        self.action = action
        self.operation = operation
        self.summary = summary
        self.answer = answer
    }

    package static let all: [Route] =
        ControllerRequest.verbs.compactMap { Route($0) } + [
            Route("/v1/openapi.json", .openAPI, "openapi", "This document", OpenAPI.ownSchema),
            Route(
                "/healthz", .health, "health", "Whether the controller answers at all",
                .object("Health", ["status": .choice(["ok"])])),
        ]

    /// The path's parameters, or `nil` if the path is another one.
    func match(_ path: [String]) -> [JSONMember]? {
        let segments = http.segments
        guard path.count == segments.count else { return nil }
        var members: [JSONMember] = []
        for (segment, part) in zip(segments, path) {
            if let name = HTTPRoute.parameter(segment) {
                guard !part.isEmpty else { return nil }
                members.append(JSONMember(name, .string(part)))
            } else if segment != part {
                return nil
            }
        }
        return members
    }
}
