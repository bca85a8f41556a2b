import Base
package import Control
import Daemon

/// The controller's HTTP API: finds the route, makes the controller's request of it, and its answer an HTTP answer.
package struct HTTPAPI {
    /// Asks the controller; the second argument is called with the answer, once, at once or later.
    package typealias Ask = (ControllerRequest, @escaping (ControllerRequest.Outcome) -> Void) -> Void

    private let sites: SiteCheck
    private let ask: Ask

    /// `names` are those, in addition to `localhost`, by which the server is reached (`SiteCheck`).
    package init(names: [String] = [], ask: @escaping Ask) {
        sites = SiteCheck(names: names)
        self.ask = ask
    }

    package func handle(_ request: HTTPRequest, answer: @escaping (HTTPResponse) -> Void) {
        do throws(Refusal) {
            let found = try find(request)
            switch found.route.action {
            case .health: answer(.json(200, ["status": "ok"]))
            case .openAPI: answer(HTTPResponse(status: 200, headers: HTTPResponse.jsonHeaders, body: OpenAPI.bytes))
            case .ask(let verb):
                let question = try HTTPAPI.question(VerbMethod<ControllerRequest>(verb), found, request)
                ask(question) { answer(HTTPAPI.response(to: $0, status: found.route.http.status)) }
            }
        } catch {
            answer(error.response)
        }
    }

    /// The server's own answers.
    package static let tooLarge = Refusal(
        413, APIError(.limit, "the body is longer than \(HTTPServer.Limits().bodyBytes) bytes")
    ).response
    package static let unanswered = HTTPResponse.error(504, APIError(.timeout, "no answer came in time"))

    private struct Found {
        var route: Route
        var path: [JSONMember]
        var target: RequestTarget
    }

    private func find(_ request: HTTPRequest) throws(Refusal) -> Found {
        guard let target = RequestTarget(request.target) else {
            throw Refusal(400, APIError(.invalid, "the path or query cannot be decoded"))
        }
        if let refusal = sites.refusal(of: request, authority: target.authority) { throw Refusal(refusal) }
        var allowed: [String] = []
        for route in Route.all {
            guard let path = route.match(target.segments) else { continue }
            let method = request.method == "HEAD" ? "GET" : request.method
            if route.http.method.rawValue == method { return Found(route: route, path: path, target: target) }
            allowed += route.http.method == .get ? ["GET", "HEAD"] : [route.http.method.rawValue]
        }
        guard allowed.isEmpty else {
            let names = allowed.joined(separator: ", ")
            throw Refusal(
                405, APIError(.invalid, "\(request.method.prefix(20)) is not possible here; \(names) are"),
                headers: [HTTPHeader("Allow", names)])
        }
        throw Refusal(404, APIError(.notFound, "there is nothing here; see /v1/openapi.json"))
    }

    private static func question(
        _ method: VerbMethod<ControllerRequest>, _ found: Found, _ request: HTTPRequest
    ) throws(Refusal) -> ControllerRequest {
        var members = found.path
        for item in found.target.query {
            guard let query = found.route.http.query.first(where: { $0.name == item.name }) else {
                throw Refusal(400, APIError(.invalid, "'\(item.name)' is not known here", field: item.name))
            }
            guard !members.contains(where: { $0.name == item.name }) else {
                throw Refusal(400, APIError(.invalid, "'\(item.name)' is given twice", field: item.name))
            }
            members.append(JSONMember(item.name, try value(of: item, as: query.kind)))
        }
        for member in try bodyMembers(found.route.http.body, request) {
            guard !members.contains(where: { $0.name == member.name }) else {
                throw Refusal(400, APIError(.invalid, "'\(member.name)' is in the path", field: member.name))
            }
            members.append(member)
        }
        do throws(StrictJSONError) {
            return try StrictJSON.decode(from: .object(members)) { try ControllerRequest(method, from: $0) }
        } catch { throw Refusal(error) }
    }

    private static func value(of item: RequestTarget.Item, as kind: HTTPRoute.Kind) throws(Refusal) -> JSONValue {
        switch kind {
        case .text: return .string(item.value)
        case .integer(let minimum):
            // Event ids are unsigned, offsets are signed; either way it is digits.
            guard UInt64(item.value) != nil || Int64(item.value) != nil, !item.value.hasPrefix("+") else {
                throw Refusal(400, APIError(.invalid, "'\(item.name)' must be a whole number", field: item.name))
            }
            if let minimum, let value = Int64(item.value), value < minimum {
                throw Refusal(
                    400, APIError(.invalid, "'\(item.name)' must be at least \(minimum)", field: item.name))
            }
            return .number(item.value)
        }
    }

    private static func bodyMembers(
        _ expected: HTTPRoute.Body?, _ request: HTTPRequest
    ) throws(Refusal) -> [JSONMember] {
        guard let expected else {
            guard request.body.isEmpty else {
                throw Refusal(400, APIError(.invalid, "\(request.method) takes no body here"))
            }
            return []
        }
        if request.body.isEmpty {
            if expected.isRequired {
                throw Refusal(400, APIError(.invalid, "the body is missing; a JSON object is expected"))
            }
            return []
        }
        let types = request.values("content-type").map { type in
            type.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        }
        guard types == ["application/json"] else {
            throw Refusal(
                415, APIError(.invalid, "the body must be JSON, with 'Content-Type: application/json'"),
                headers: [HTTPHeader("Accept", "application/json")])
        }
        let document: JSONValue
        do throws(JSONSyntaxError) { document = try JSONValue(parsing: request.body) } catch {
            throw Refusal(400, APIError(.invalid, "malformed JSON: \(error)"))
        }
        guard case .object(let members) = document else {
            throw Refusal(400, APIError(.invalid, "the body must be an object, not \(document.kind)"))
        }
        return members
    }

    private static func response(to answer: ControllerRequest.Outcome, status: Int) -> HTTPResponse {
        switch answer {
        case .success(let reply): .json(status, reply)
        case .failure(let error): .error(error.httpStatus, error)
        }
    }
}

/// A refused request, with the answer to its sender.
struct Refusal: Error {
    var status: Int
    var error: APIError
    var headers: [HTTPHeader]

    init(_ status: Int, _ error: APIError, headers: [HTTPHeader] = []) {
        self.status = status
        self.error = error
        self.headers = headers
    }

    init(_ error: StrictJSONError) { self.init(400, error.apiError) }

    init(_ refusal: SiteCheck.Refusal) {
        switch refusal {
        case .badHost: self.init(400, APIError(.invalid, "one Host header with a host's name or address is needed"))
        case .foreignHost(let host):
            self.init(
                403,
                APIError(.refused, "'\(host.prefix(80))' is not a name of this server; use its address or localhost"))
        case .foreignOrigin(let origin):
            self.init(403, APIError(.refused, "pages of other sites may not ask: '\(origin.prefix(80))'"))
        }
    }

    var response: HTTPResponse {
        var response = HTTPResponse.error(status, error)
        response.headers += headers
        return response
    }
}

extension HTTPResponse {
    static let jsonHeaders = [
        HTTPHeader("Content-Type", "application/json"), HTTPHeader("Cache-Control", "no-store"),
        HTTPHeader("X-Content-Type-Options", "nosniff"),
    ]

    static func json(_ status: Int, _ value: some Encodable) -> HTTPResponse {
        HTTPResponse(status: status, headers: jsonHeaders, body: StrictJSON.encode(value) + [0x0a])
    }

    static func error(_ status: Int, _ error: APIError) -> HTTPResponse { json(status, ["error": error]) }
}
