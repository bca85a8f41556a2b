import Base
import EventLoop
import Testing

@testable import Daemon
@testable import Mesh

@Suite struct GatewayFetchTests {
    /// What a server on loopback that answers like this gives; and what it was asked.
    private func fetch(_ serve: @escaping (ByteStream) -> Void) throws -> (answer: PortMapperAnswer?, asked: [UInt8]) {
        let loop = Loop()
        var streams: [ByteStream] = [], asked: [UInt8] = [], answers: [PortMapperAnswer] = []
        let listener = try Listener(on: loop, "gateway", tcp: SocketAddress(.loopback4, 0)) { stream in
            streams.append(stream)
            var isServed = false
            stream.start(
                onRead: {
                    asked += $0
                    guard !isServed else { return }
                    isServed = true
                    serve(stream)
                }, onEnd: { _ in })
        }
        let request = PortMapperRequest(
            id: 1, remote: try #require(listener.localAddress), bytes: Array("GET / HTTP/1.1\r\n\r\n".utf8))
        let fetch = try GatewayFetch(on: loop, request) {
            answers.append($0)
            loop.stop()
        }
        let limit = Timer(on: loop, "limit") { loop.stop() }
        limit.arm(after: .seconds(30))
        loop.run()
        fetch.close()
        #expect(answers.count <= 1)
        return (answers.first, asked)
    }

    private static let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    @Test func `an answer is given when it is whole, though the connection stays`() throws {
        let result = try fetch { $0.write(Array(Self.whole.utf8)) }
        #expect(result.answer == .bytes(Array(Self.whole.utf8)))
        #expect(result.asked == Array("GET / HTTP/1.1\r\n\r\n".utf8))
    }

    @Test func `an answer without a length ends with the connection`() throws {
        let text = Array("HTTP/1.0 200 OK\r\n\r\nhello".utf8)
        let result = try fetch {
            $0.write(text)
            $0.shutdown()
        }
        #expect(result.answer == .bytes(text))
    }

    @Test func `an answer without an end is cut at its limit`() throws {
        let result = try fetch {
            $0.write(Array("HTTP/1.0 200 OK\r\n\r\n".utf8) + [UInt8](repeating: 65, count: 4 << 20))
        }
        guard case .failed(let why) = result.answer else {
            Issue.record("\(String(describing: result.answer))")
            return
        }
        #expect(why == "an answer of more than \(HTTPAnswer.bytesLimit) bytes")
    }

    @Test func `the wait for a silent server ends, and there is no wait for an absent one`() throws {
        let result = try fetch { _ in }
        guard case .failed(let why) = result.answer else {
            Issue.record("\(String(describing: result.answer))")
            return
        }
        #expect(why.contains("no answer within 5 s"))
        let loop = Loop()
        var answer: PortMapperAnswer?
        // The port of a closed listener refuses connections.
        let listener = try Listener(on: loop, "gone", tcp: SocketAddress(.loopback4, 0)) { _ in }
        let remote = try #require(listener.localAddress)
        listener.close()
        let fetch = try GatewayFetch(on: loop, PortMapperRequest(id: 1, remote: remote, bytes: [65])) {
            answer = $0
            loop.stop()
        }
        let limit = Timer(on: loop, "limit") { loop.stop() }
        limit.arm(after: .seconds(30))
        loop.run()
        withExtendedLifetime(fetch) {}
        #expect(answer == .failed("\(remote): Connection refused"))
    }
}
