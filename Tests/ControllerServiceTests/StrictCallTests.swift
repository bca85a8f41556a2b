import Control
import Daemon
import Testing
import Wire

@Suite struct StrictCallTests {
    private func call(_ text: String) -> JSONRPCCall<ControllerRequest>? { StrictJSON.call(from: Array(text.utf8)) }

    @Test func `a call is read with what is left out`() throws {
        let text = #"{"jsonrpc":"2.0","id":"a","method":"workers.run","params":{"spec":{"command":["ls"]}}}"#
        let read = try #require(call(text))
        #expect(read.id == .text("a"))
        #expect(try read.request.get() == .workersRun(.init(spec: WorkerSpec(command: ["ls"]))))
        #expect(try call(#"{"jsonrpc":"2.0","id":1,"method":"status"}"#)?.request.get() == .status)
        #expect(try call(#"{"jsonrpc":"2.0","method":"status","params":null}"#)?.request.get() == .status)
        #expect(call(#"{"jsonrpc":"2.0","method":"status"}"#)?.id == nil)
    }

    static let faults: [(String, Int, String)] = [
        (#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"a":1}}"#, -32602, "'a' is not known here"),
        (#"{"jsonrpc":"2.0","id":1,"method":"status","params":[]}"#, -32602, "'params' must be an object"),
        (#"{"jsonrpc":"2.0","id":1,"method":"status","parms":{}}"#, -32600, "'parms' is not known here"),
        (#"{"jsonrpc":"2.0","id":1,"method":"nodes.get"}"#, -32602, "'node' is missing"),
        (
            #"{"jsonrpc":"2.0","id":1,"method":"workers.stop","params":{"name":"a","gracSeconds":3}}"#, -32602,
            "'gracSeconds' is not known here"
        ),
        (#"{"jsonrpc":"2.0","id":1,"method":"worker.stop"}"#, -32601, "there is no method 'worker.stop'"),
        (#"{"jsonrpc":"1.0","id":1,"method":"status"}"#, -32600, #""jsonrpc" must be "2.0""#),
        (#"{"jsonrpc":"2.0","id":1}"#, -32600, #""method" must be a string"#),
    ]

    @Test(arguments: faults.indices)
    func `a fault is answered under the call's id`(index: Int) throws {
        let (text, code, message) = StrictCallTests.faults[index]
        let read = try #require(call(text))
        #expect(read.id == .number(1))
        guard case .failure(let error) = read.request else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == code && error.message == message, "\(error)")
    }

    @Test func `an id that is none is answered without one`() throws {
        let read = try #require(call(#"{"jsonrpc":"2.0","id":{},"method":"status"}"#))
        #expect(read.id == .null)
        #expect(throws: JSONRPCError.self) { try read.request.get() }
    }

    @Test(arguments: ["", "[]", "1", "{", #"{"jsonrpc":"2.0","id":1,"id":2,"method":"status"}"#])
    func `a text that is no object is no call`(text: String) { #expect(call(text) == nil) }
}
