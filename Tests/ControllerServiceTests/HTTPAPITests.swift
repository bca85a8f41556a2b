import Base
import Control
import ControllerService
import Daemon
import EventLoop
import Testing
import Wire

@Suite struct HTTPAPITests {
    struct Case: Sendable {
        var method = "GET"
        var target: String
        var headers: [HTTPHeader] = []
        var body = ""
    }

    /// What the controller was asked, and what came back.
    static func ask(
        _ question: Case, answer: Result<ControllerReply, APIError> = .success(.nodes([]))
    ) -> (asked: ControllerRequest?, status: Int, headers: [HTTPHeader], body: String) {
        let asked = Box<ControllerRequest?>(nil), response = Box<HTTPResponse?>(nil)
        let api = HTTPAPI(names: ["Fleet.example"]) {
            asked.value = $0
            $1(answer)
        }
        var headers = question.headers
        if !headers.contains(where: { $0.name == "Host" }) { headers.append(HTTPHeader("Host", "127.0.0.1:7951")) }
        if !question.body.isEmpty, !headers.contains(where: { $0.name == "Content-Type" }) {
            headers.append(HTTPHeader("Content-Type", "application/json; charset=utf-8"))
        }
        api.handle(
            HTTPRequest(
                method: question.method, target: question.target, headers: headers, body: Array(question.body.utf8))
        ) { response.value = $0 }
        let answer = response.value ?? HTTPResponse(status: 0, body: [])
        return (asked.value, answer.status, answer.headers, String(decoding: answer.body, as: UTF8.self))
    }

    static let questions: [(Case, ControllerRequest)] = [
        (Case(target: "/v1/status"), .status), (Case(method: "HEAD", target: "/v1/status"), .status),
        (Case(target: "/v1/nodes"), .nodesList),
        (Case(target: "/v1/nodes/a%2Fb"), .nodesGet(.init(node: "a/b"))),
        (Case(target: "http://localhost:7951/v1/nodes?"), .nodesList),
        (Case(method: "POST", target: "/v1/tokens"), .tokensCreate(.init())),
        (
            Case(method: "POST", target: "/v1/tokens", body: #"{"ttlSeconds":60,"uses":3,"name":null}"#),
            .tokensCreate(.init(ttlSeconds: 60, uses: 3))
        ),
        (Case(target: "/v1/tokens"), .tokensList),
        (Case(target: "/v1/tokens/0011223344556677"), .tokensGet(.init(id: "0011223344556677"))),
        (
            Case(method: "DELETE", target: "/v1/tokens/0011223344556677"),
            .tokensRevoke(.init(id: "0011223344556677"))
        ),
        (
            Case(method: "POST", target: "/v1/workers", body: #"{"spec":{"command":["sleep","1"]},"name":"a"}"#),
            .workersRun(.init(name: "a", spec: WorkerSpec(command: ["sleep", "1"])))
        ),
        (Case(target: "/v1/workers"), .workersList(.init())),
        (Case(target: "/v1/workers?node=node+1%2b"), .workersList(.init(node: "node 1+"))),
        (Case(target: "/v1/workers/a"), .workersGet(.init(name: "a"))),
        (Case(method: "POST", target: "/v1/workers/a/stop"), .workersStop(.init(name: "a"))),
        (
            Case(method: "POST", target: "/v1/workers/a/stop", body: #"{"graceSeconds":3,"operation":"x"}"#),
            .workersStop(.init(name: "a", operation: "x", graceSeconds: 3))
        ),
        (
            Case(method: "DELETE", target: "/v1/workers/a?operation=x"),
            .workersRemove(.init(name: "a", operation: "x"))
        ),
        (
            Case(target: "/v1/workers/a/logs?offset=-100&limit=5"),
            .workersLogs(.init(name: "a", offset: -100, limit: 5))
        ),
        (
            Case(target: "/v1/events?after=18446744073709551615&limit=1"),
            .eventsList(.init(after: .max, limit: 1))
        ),
        (Case(target: "/v1/accelerators"), .acceleratorsList), (Case(target: "/v1/peers"), .peersList),
    ]

    @Test(arguments: questions.indices)
    func `a request on a route is the controller's request`(index: Int) {
        let (question, expected) = HTTPAPITests.questions[index]
        let result = HTTPAPITests.ask(question)
        #expect(result.asked == expected, "\(result.body)")
        let created = question.method == "POST" && !question.target.hasSuffix("/stop")
        #expect(result.status == (created ? 201 : 200))
    }

    @Test func `every method of the controller has a route and every route a question above`() {
        let methods = Route.all.compactMap { route -> VerbMethod<ControllerRequest>? in
            if case .ask(let verb) = route.action { VerbMethod<ControllerRequest>(verb) } else { nil }
        }
        #expect(Set(methods) == Set(VerbMethod<ControllerRequest>.allCases))
        #expect(methods.count == VerbMethod<ControllerRequest>.allCases.count)
        #expect(Set(HTTPAPITests.questions.map { $0.1.method }) == Set(methods))
    }

    static let refusals: [(Case, Int, String, String?)] = [
        (Case(target: "/"), 404, "there is nothing here", nil), (Case(target: "/v1/nodes/"), 404, "", nil),
        (Case(target: "/v1/nodes/a/b"), 404, "", nil), (Case(target: "/V1/nodes"), 404, "", nil),
        (Case(target: "/v1/nodes/%00"), 400, "cannot be decoded", nil),
        (Case(target: "/v1/nodes/%ff"), 400, "cannot be decoded", nil),
        (Case(target: "/v1/nodes/%4"), 400, "cannot be decoded", nil),
        (Case(target: "*"), 400, "cannot be decoded", nil),
        (Case(method: "PUT", target: "/v1/tokens"), 405, "POST, GET, HEAD are", nil),
        (Case(method: "OPTIONS", target: "/v1/workers/a"), 405, "GET, HEAD, DELETE are", nil),
        (Case(method: "HEAD", target: "/v1/workers/a/stop"), 405, "POST are", nil),
        (Case(target: "/v1/workers?nod=a"), 400, "'nod' is not known here", "nod"),
        (Case(target: "/v1/workers?node=a&node=b"), 400, "'node' is given twice", "node"),
        (Case(target: "/v1/workers/a/logs?name=b"), 400, "'name' is not known here", "name"),
        (Case(target: "/v1/events?limit=ten"), 400, "'limit' must be a whole number", "limit"),
        (Case(target: "/v1/events?limit=0"), 400, "'limit' must be at least 1", "limit"),
        (Case(target: "/v1/events?after=-1"), 400, "'after' must be at least 0", "after"),
        (Case(target: "/v1/events?limit=99999999999999999999"), 400, "'limit' must be a whole number", "limit"),
        (Case(target: "/v1/events?limit=18446744073709551615"), 400, "'limit' must be a whole number from", "limit"),
        (Case(method: "GET", target: "/v1/nodes", body: "{}"), 400, "takes no body", nil),
        (Case(method: "POST", target: "/v1/workers"), 400, "the body is missing", nil),
        (Case(method: "POST", target: "/v1/workers", body: "[]"), 400, "must be an object, not an array", nil),
        (
            Case(
                method: "POST", target: "/v1/workers", headers: [HTTPHeader("Content-Type", "text/plain")], body: "{}"),
            415, "application/json", nil
        ),
        (
            Case(method: "POST", target: "/v1/workers", body: "{\"spec\":\n  {\"command\" [1]}}"), 400,
            "malformed JSON: line 2, column 14: expected \":\"", nil
        ),
        (Case(method: "POST", target: "/v1/workers", body: "{}"), 400, "'spec' is missing", "spec"),
        (
            Case(method: "POST", target: "/v1/workers", body: #"{"spec":{"comand":["a"]}}"#), 400,
            "'spec.comand' is not known here", "spec.comand"
        ),
        (
            Case(method: "POST", target: "/v1/workers", body: #"{"spec":{"command":["a",1]}}"#), 400,
            "'spec.command[1]' must be a string, not a number", "spec.command[1]"
        ),
        (
            Case(
                method: "POST", target: "/v1/workers",
                body: #"{"spec":{"command":["a"],"limits":{"memoryBytes":1.5}}}"#), 400,
            "must be a whole number", "spec.limits.memoryBytes"
        ),
        (
            Case(method: "POST", target: "/v1/workers/a/stop", body: #"{"name":"b"}"#), 400, "'name' is in the path",
            "name"
        ),
    ]

    @Test(arguments: refusals.indices)
    func `what is wrong is reported with its field, and nothing is asked`(index: Int) throws {
        let (question, status, message, field) = HTTPAPITests.refusals[index]
        let result = HTTPAPITests.ask(question)
        #expect(result.asked == nil)
        #expect(result.status == status)
        let failure = try StrictJSON.decode([String: APIError].self, from: Array(result.body.utf8))
        let error = try #require(failure["error"])
        #expect(error.message.contains(message), "\(error.message)")
        #expect(error.field == field)
        if status == 405 { #expect(result.headers.contains { $0.name == "Allow" && message.hasPrefix($0.value) }) }
    }

    @Test(arguments: APIError.Code.allCases)
    func `an error of the controller has the status of its code`(code: APIError.Code) throws {
        let error = APIError([SpecProblem("limits.memory", "is odd")])
        var coded = error
        coded.code = code
        let result = HTTPAPITests.ask(Case(target: "/v1/nodes"), answer: .failure(coded))
        #expect(result.status == coded.httpStatus)
        #expect(try StrictJSON.decode([String: APIError].self, from: Array(result.body.utf8)) == ["error": coded])
    }

    static let sites: [([HTTPHeader], Int)] = [
        ([HTTPHeader("Host", "127.0.0.1")], 200), ([HTTPHeader("Host", "[::1]:7951")], 200),
        ([HTTPHeader("Host", "LOCALHOST:1")], 200), ([HTTPHeader("Host", "a.localhost")], 200),
        ([HTTPHeader("Host", "fleet.example:7951")], 200), ([HTTPHeader("Host", "10.1.2.3:7951")], 200),
        ([HTTPHeader("Host", "evil.example")], 403), ([HTTPHeader("Host", "127.0.0.1.evil.example")], 403),
        ([HTTPHeader("Host", "localhost.evil.example")], 403), ([HTTPHeader("Host", "")], 400),
        ([HTTPHeader("Host", "a b")], 400), ([HTTPHeader("Host", "[::1")], 400),
        ([HTTPHeader("Host", "localhost:port")], 400),
        ([HTTPHeader("Host", "localhost"), HTTPHeader("host", "evil.example")], 400),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Origin", "http://localhost:1")], 200),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Origin", "http://localhost:2")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Origin", "https://localhost:1")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Origin", "null")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("ORIGIN", "http://evil.example")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Sec-Fetch-Site", "cross-site")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Sec-Fetch-Site", "same-site")], 403),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Sec-Fetch-Site", "same-origin")], 200),
        ([HTTPHeader("Host", "localhost:1"), HTTPHeader("Sec-Fetch-Site", "none")], 200),
    ]

    @Test(arguments: sites.indices)
    func `pages of other sites and other names of this machine are refused`(index: Int) {
        let (headers, status) = HTTPAPITests.sites[index]
        let result = HTTPAPITests.ask(Case(target: "/v1/nodes", headers: headers))
        #expect(result.status == status, "\(headers): \(result.body)")
        #expect((result.asked != nil) == (status == 200))
    }

    @Test func `an absolute target takes the place of the Host header`() {
        let result = HTTPAPITests.ask(
            Case(target: "http://evil.example/v1/nodes", headers: [HTTPHeader("Host", "localhost")]))
        #expect(result.status == 403 && result.asked == nil)
    }

    @Test func `over a socket, the API answers JSON, and HEAD has no body`() throws {
        let loop = Loop()
        let api = HTTPAPI { _, answer in answer(.success(.nodes([]))) }
        let server = try testServer(loop) { api.handle($0, answer: $1) }
        let client = try RawClient(to: server.localAddress), head = try RawClient(to: server.localAddress)
        client.send("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head.send("HEAD /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(drive(loop, [client, head]) { client.answers.count == 2 && head.isEnded })
        #expect(client.answers.map(\.body) == ["[]\n", "{\"status\":\"ok\"}\n"])
        #expect(client.answers[0].headers["content-type"] == "application/json")
        var rest = head.received[...]
        let answer = RawClient.Answer(&rest, isHead: true)
        #expect(answer?.status == 200 && rest.isEmpty)
        #expect(answer?.headers["content-length"] == String(OpenAPI.bytes.count))
    }
}
