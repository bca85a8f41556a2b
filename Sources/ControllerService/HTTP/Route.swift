package import Base
package import Control

/// # The table of what HTTP can ask
///
/// Every route names one of the controller's methods. The parameters of that method are one JSON object, put together
/// from the path, the query and the body, and then decoded as strictly as those that come by JSON-RPC: so both ways of
/// asking have the same parameters, the same checks and the same words for what is wrong. The OpenAPI document is made
/// from this table.
package struct Route: Hashable, Sendable {
    package enum Method: String, Hashable, Sendable, CaseIterable {
        case get = "GET"
        case post = "POST"
        case delete = "DELETE"
    }
    package enum Action: Hashable, Sendable {
        case ask(ControllerRequest.Method)
        case health
        case openAPI
    }
    package enum Kind: Hashable, Sendable {
        case text
        case integer(minimum: Int64?)
    }
    package struct Query: Hashable, Sendable {
        package var name: String
        package var kind: Kind
        package var meaning: String
    }
    package enum Body: Hashable, Sendable {
        case none
        /// A JSON object; nothing at all is the same as an empty one, if that will do.
        case object(schema: String, isRequired: Bool)
    }

    package var method: Method
    /// Such as `/v1/workers/{name}/stop`.
    package var template: String
    package var action: Action
    package var summary: String
    package var query: [Query] = []
    package var body = Body.none
    /// What is answered where all went well.
    package var status = 200
    /// The schema of that answer, and whether it is a list of it.
    package var answer: String
    package var answersList = false

    package var segments: [Substring] { template.dropFirst().split(separator: "/", omittingEmptySubsequences: false) }

    /// The names in braces.
    package var pathParameters: [String] { segments.compactMap(Route.parameter) }

    /// The path's parameters, or `nil` if the path is another one.
    package func match(_ path: [String]) -> [JSONMember]? {
        let segments = segments
        guard path.count == segments.count else { return nil }
        var members: [JSONMember] = []
        for (segment, part) in zip(segments, path) {
            if let name = Route.parameter(segment) {
                guard !part.isEmpty else { return nil }
                members.append(JSONMember(name, .string(part)))
            } else if segment != part {
                return nil
            }
        }
        return members
    }

    private static func parameter(_ segment: Substring) -> String? {
        segment.hasPrefix("{") && segment.hasSuffix("}") ? String(segment.dropFirst().dropLast()) : nil
    }
}

extension Route {
    private static let operation = Query(
        name: "operation", kind: .text, meaning: "Your name for this command; asked again under it, it is done once.")

    package static let all: [Route] = [
        Route(
            method: .get, template: "/v1/status", action: .ask(.status), summary: "The controller's account of itself",
            answer: "Status"),
        Route(
            method: .get, template: "/v1/nodes", action: .ask(.nodesList), summary: "All nodes", answer: "Node",
            answersList: true),
        Route(
            method: .get, template: "/v1/nodes/{node}", action: .ask(.nodesGet),
            summary: "One node, by its name or id or the first digits of that", answer: "Node"),
        Route(
            method: .post, template: "/v1/tokens", action: .ask(.tokensCreate),
            summary: "Makes a token with which nodes join; the only answer that shows the token itself",
            body: .object(schema: "TokenParameters", isRequired: false), status: 201, answer: "Token"),
        Route(
            method: .get, template: "/v1/tokens", action: .ask(.tokensList), summary: "All tokens", answer: "Token",
            answersList: true),
        Route(
            method: .delete, template: "/v1/tokens/{id}", action: .ask(.tokensRevoke), summary: "Revokes a token",
            answer: "Token"),
        Route(
            method: .post, template: "/v1/workers", action: .ask(.workersRun), summary: "Runs a worker",
            body: .object(schema: "RunParameters", isRequired: true), status: 201, answer: "Worker"),
        Route(
            method: .get, template: "/v1/workers", action: .ask(.workersList), summary: "All workers, or one node's",
            query: [Query(name: "node", kind: .text, meaning: "A node's name or id.")], answer: "Worker",
            answersList: true),
        Route(
            method: .get, template: "/v1/workers/{name}", action: .ask(.workersGet), summary: "One worker",
            answer: "Worker"),
        Route(
            method: .post, template: "/v1/workers/{name}/stop", action: .ask(.workersStop), summary: "Stops a worker",
            body: .object(schema: "StopParameters", isRequired: false), answer: "Worker"),
        Route(
            method: .delete, template: "/v1/workers/{name}", action: .ask(.workersRemove),
            summary: "Removes a worker that has ended", query: [operation], answer: "Worker"),
        Route(
            method: .get, template: "/v1/workers/{name}/logs", action: .ask(.workersLogs),
            summary: "A piece of a worker's log; ask again from `nextOffset` for what comes after",
            query: [
                Query(
                    name: "offset", kind: .integer(minimum: nil),
                    meaning: "The first byte; negative: that many before the end."),
                Query(name: "limit", kind: .integer(minimum: 1), meaning: "The most bytes to answer with."),
            ], answer: "Log"),
        Route(
            method: .get, template: "/v1/events", action: .ask(.eventsList),
            summary: "What happened; ask again after the last `id` for what comes after",
            query: [
                Query(name: "after", kind: .integer(minimum: 0), meaning: "Only events with a higher id."),
                Query(name: "limit", kind: .integer(minimum: 1), meaning: "The most events to answer with."),
            ], answer: "Event", answersList: true),
        Route(
            method: .get, template: "/v1/accelerators", action: .ask(.acceleratorsList),
            summary: "All accelerators of all nodes", answer: "NodeAccelerator", answersList: true),
        Route(
            method: .get, template: "/v1/peers", action: .ask(.peersList), summary: "The controller's mesh sessions",
            answer: "Peer", answersList: true),
        Route(
            method: .get, template: "/v1/openapi.json", action: .openAPI, summary: "This document",
            answer: "OpenAPI"),
        Route(
            method: .get, template: "/healthz", action: .health, summary: "Whether the controller answers at all",
            answer: "Health"),
    ]
}
