import Base
import Control
import EventLoop
import Glibc
import Testing

@testable import Daemon

/// Which user may make which request on the local socket.
@Suite(.serialized) struct RPCServerTests {
    @Test func `the caller is known, and may be refused`() throws {
        let folder = WorkerBench.folder()
        defer { rmdir(folder) }
        let loop = Loop()
        var askers: [ByteStream.Credentials?] = [], asked: [AgentRequest] = []
        let server = try RPCServer<AgentRequest, AgentReply>(on: loop, path: "\(folder)/s") { request, answer in
            asked.append(request)
            answer(.success(.peers([])))
        }
        server.mayAsk = { request, asker in
            askers.append(asker)
            return request == .captureStart(.init()) ? APIError(.refused, "not you") : nil
        }
        var got: [UInt8] = []
        let client = try ByteStream(on: loop, "client", to: .unix("\(folder)/s")) { _ in }
        client.start(onRead: { got += $0 }, onEnd: { _ in })
        for (id, method) in [(1, "capture.start"), (2, "peers.list")] {
            let line = #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"}"# + "\n"
            _ = client.write(Array(line.utf8))
        }
        let tick = Timer(on: loop, "test limit") {}
        tick.arm(every: .milliseconds(5))
        for _ in 0..<2000 where got.count(where: { $0 == UInt8(ascii: "\n") }) < 2 { loop.runOnce() }
        tick.close()
        client.close()
        server.close()
        let text = String(decoding: got, as: UTF8.self)
        #expect(text.contains("not you") && text.contains(#""result":[]"#), "\(text)")
        #expect(asked == [.peersList])
        #expect(askers.map { $0?.uid } == [geteuid(), geteuid()] && askers.map { $0?.pid } == [getpid(), getpid()])
    }

    @Test func `only root and the agent's own user may capture`() {
        func may(_ uid: UInt32?, _ request: AgentRequest = .captureStart(.init())) -> Bool {
            AgentDaemon.mayAsk(request, uid.map { ByteStream.Credentials(pid: 1, uid: $0, gid: 1) }) == nil
        }
        #expect(may(0) && may(geteuid()) && !may(geteuid() + 1) && !may(nil))
        // A user who may open the socket may make all other requests.
        #expect(may(geteuid() + 1, .status) && may(nil, .captureRead(.init(capture: 1))))
    }
}
