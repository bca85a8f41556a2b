import Base
import Control
import Foundation
import Testing
import Wire

@Suite struct JSONRPCTests {
    private func call(_ json: String) throws -> JSONRPCCall<ControllerRequest> {
        try JSONDecoder().decode(JSONRPCCall<ControllerRequest>.self, from: Data(json.utf8))
    }

    private func error(_ json: String) throws -> (id: JSONRPCID?, error: JSONRPCError?) {
        let call = try call(json)
        if case .failure(let error) = call.request { return (call.id, error) }
        return (call.id, nil)
    }

    @Test(arguments: [
        ControllerRequest.status, .nodesGet(.init(node: "n")), .tokensCreate(.init(ttlSeconds: 60)),
        .workersRun(.init(spec: WorkerSpec(command: ["a"]), operation: "o")),
        .workersLogs(.init(name: "w", offset: -5)),
        .eventsList(.init(after: .max)), .peersList,
    ])
    func `a request is read as it was written`(_ request: ControllerRequest) throws {
        let line = try JSONEncoder().encode(JSONRPCCall(id: .number(7), request))
        let read = try JSONDecoder().decode(JSONRPCCall<ControllerRequest>.self, from: line)
        #expect(read.id == .number(7))
        #expect(try read.request.get() == request)
        #expect(!line.contains(UInt8(ascii: "\n")))
    }

    @Test func `parameters may be left out where none are needed`() throws {
        #expect(try call(#"{"jsonrpc":"2.0","id":1,"method":"status"}"#).request.get() == .status)
        #expect(try call(#"{"jsonrpc":"2.0","id":1,"method":"events.list"}"#).request.get() == .eventsList(.init()))
        #expect(try call(#"{"jsonrpc":"2.0","id":1,"method":"status","params":null}"#).request.get() == .status)
        // The envelope's own keys are never taken for parameters.
        let missing = try error(#"{"jsonrpc":"2.0","id":"0011223344556677","method":"tokens.revoke"}"#).error
        #expect(missing?.code == -32602 && missing?.data?.field == "id")
    }

    @Test(arguments: [
        (#"{"id":1,"method":"status"}"#, -32600, "jsonrpc"),
        (#"{"jsonrpc":"1.0","id":1,"method":"status"}"#, -32600, "jsonrpc"),
        (#"{"jsonrpc":"2.0","id":1}"#, -32600, "method"), (#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600, "method"),
        (#"{"jsonrpc":"2.0","id":1,"method":"no.such"}"#, -32601, "method"),
        (#"{"jsonrpc":"2.0","id":1,"method":"nodes.get","params":{}}"#, -32602, "node"),
        (#"{"jsonrpc":"2.0","id":1,"method":"nodes.get","params":{"node":5}}"#, -32602, "node"),
        (#"{"jsonrpc":"2.0","id":1,"method":"nodes.get","params":[1]}"#, -32602, "params"),
        (#"{"jsonrpc":"2.0","id":1,"method":"workers.run","params":{"spec":{"command":"x"}}}"#, -32602, "spec.command"),
    ])
    func `a fault in a request is answered to its sender`(_ json: String, _ code: Int, _ field: String) throws {
        let found = try error(json)
        #expect(found.id == .number(1))
        #expect(found.error?.code == code)
        #expect(found.error?.data?.field == field)
    }

    @Test func `an id that is none is answered with null, and none at all is a notification`() throws {
        let bad = try error(#"{"jsonrpc":"2.0","id":{},"method":"status"}"#)
        #expect(bad.id == .null && bad.error?.code == -32600)
        #expect(try call(#"{"jsonrpc":"2.0","method":"status"}"#).id == nil)
    }

    @Test(arguments: ["", "5", "[]", "nonsense", "\"x\"", "null"])
    func `what is no object cannot be read`(_ text: String) {
        #expect(throws: (any Error).self) { try call(text) }
    }

    @Test func `an error goes to the client with its data`() throws {
        let sent = APIError([SpecProblem("user", "there is none")])
        let line = try JSONEncoder().encode(
            JSONRPCReply<ControllerReply>(id: .number(1), .failure(JSONRPCError(sent))))
        let reply = try JSONDecoder().decode(JSONRPCReply<StatusView>.self, from: line)
        guard case .failure(let error) = reply.result else {
            Issue.record("an error came as a result")
            return
        }
        #expect(error.apiError == sent)
    }

    @Test(arguments: APIError.Code.allCases)
    func `an error without data keeps its code`(_ code: APIError.Code) throws {
        let number = APIError(code, "").jsonRPCCode
        let line = Data(#"{"jsonrpc":"2.0","id":1,"error":{"code":\#(number),"message":"no"}}"#.utf8)
        let reply = try JSONDecoder().decode(JSONRPCReply<StatusView>.self, from: line)
        #expect(throws: JSONRPCError.self) { try reply.result.get() }
        if case .failure(let error) = reply.result { #expect(error.apiError.code == code) }
    }

    @Test func `a line that is no object has an answer of its own`() throws {
        let line = try JSONEncoder().encode(JSONRPCReply<ControllerReply>.unreadable)
        let reply = try JSONDecoder().decode(JSONRPCReply<StatusView>.self, from: line)
        #expect(reply.id == .null)
        if case .failure(let error) = reply.result { #expect(error.code == -32700) }
    }
}
