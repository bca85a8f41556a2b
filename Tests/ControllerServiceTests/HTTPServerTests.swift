import Base
import Control
import ControllerService
import EventLoop
import Glibc
import Testing

/// Real connections over loopback, one test after the other: some depend on time.
@Suite(.serialized) struct HTTPServerTests {
    @Test func `a connection is used again and again`() throws {
        let loop = Loop()
        let server = try testServer(loop, echo)
        let client = try RawClient(to: server.localAddress)
        for round in 1...5 {
            client.send("POST /a/\(round)?b=%20 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            #expect(drive(loop, [client]) { client.answers.count == round })
        }
        #expect(client.answers.map(\.body) == (1...5).map { "POST /a/\($0)?b=%20 3" })
        #expect(server.counters.connections == 1 && server.counters.requests == 5)
        server.close()
        #expect(drive(loop, [client]) { client.isEnded })
    }

    @Test func `pipelined requests are answered in order, also where the first takes time`() throws {
        let loop = Loop()
        let late = Box<[HTTPServer.Answer]>([])
        let server = try testServer(loop) { request, answer in
            if request.target == "/slow" { late.value.append(answer) } else { echo(request, answer) }
        }
        let client = try RawClient(to: server.localAddress)
        client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [client]) { late.value.count == 1 })
        for _ in 0..<20 { loop.runOnce(nonblocking: true) }
        #expect(client.received.isEmpty)
        late.value[0](HTTPResponse(status: 202, body: Array("at last".utf8)))
        late.value[0](HTTPResponse(status: 500, body: []))
        #expect(drive(loop, [client]) { client.answers.count == 2 })
        #expect(client.answers.map(\.status) == [202, 200])
        #expect(client.answers.map(\.body) == ["at last", "GET /fast 0"])
    }

    static let malformed: [String] = [
        "\r\n\r\n\r\nNONSENSE\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/7.3\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "a", count: 70_000) + "\r\n\r\n",
        "GET /" + String(repeating: "a", count: 70_000) + " HTTP/1.1\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", "\0\0\0\0\r\n\r\n",
    ]

    @Test(arguments: malformed.indices)
    func `input that is not HTTP does not affect other clients`(index: Int) throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.receive = .milliseconds(400)
        let server = try testServer(loop, limits: limits, echo)
        let bad = try RawClient(to: server.localAddress)
        bad.send(HTTPServerTests.malformed[index])
        // Refused at once, or given up after `receive`.
        #expect(drive(loop, [bad]) { bad.isEnded })
        let text = String(decoding: bad.received, as: UTF8.self)
        #expect(bad.received.isEmpty || text.hasPrefix("HTTP/1.1 4") || text.hasPrefix("HTTP/1.1 5"), "\(text)")
        let good = try RawClient(to: server.localAddress)
        good.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [good]) { good.answers.first?.status == 200 })
    }

    /// One seed gives the same bytes each time.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `requests with bytes changed, removed and inserted do not affect others`(seed: UInt64) throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.receive = .milliseconds(500)
        let api = HTTPAPI { _, answer in answer(.success(.nodes([]))) }
        let server = try testServer(loop, limits: limits) { api.handle($0, answer: $1) }
        var random = Random(Seed(seed, 0, 0, 0))
        let good = Array(
            """
            POST /v1/workers/a%20b/stop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
            Content-Length: 18\r\n\r\n{"graceSeconds":3}GET /v1/events?after=3&limit=2 HTTP/1.1\r\nHost: [::1]:7951\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n
            """.utf8)
        for _ in 0..<20 {
            let clients = try (0..<20).map { _ in try RawClient(to: server.localAddress) }
            for client in clients {
                var bytes = good
                for _ in 0...random.next(below: 4) {
                    let place = Int(random.next(below: UInt64(bytes.count)))
                    switch random.next(below: 3) {
                    case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                    case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int(random.next(below: 20)) + 1))
                    default: bytes.insert(contentsOf: good[..<Int(random.next(below: 60))], at: place)
                    }
                    if bytes.isEmpty { bytes = good }
                }
                client.send(bytes)
            }
            for _ in 0..<5 {
                loop.runOnce(nonblocking: true)
                for client in clients { client.pump() }
            }
        }
        let client = try RawClient(to: server.localAddress)
        client.send("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(drive(loop, [client]) { client.answers.first?.status == 200 })
        #expect(drive(loop, []) { server.openConnections == 0 })
    }

    @Test func `a body beyond the limit is refused, whether announced or not`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 100_000
        let asked = Box(0)
        let server = try testServer(loop, limits: limits) { request, answer in
            asked.value += 1
            echo(request, answer)
        }
        let announced = try RawClient(to: server.localAddress)
        announced.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n")
        #expect(drive(loop, [announced]) { announced.answers.first?.status == 413 })
        let chunk = "186A0\r\n" + String(repeating: "x", count: 100_000) + "\r\n"
        let open = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        let unannounced = try RawClient(to: server.localAddress)
        unannounced.send(open + chunk + chunk + "0\r\n\r\n")
        #expect(drive(loop, [unannounced]) { unannounced.answers.first?.status == 413 })
        let endless = try RawClient(to: server.localAddress)
        endless.send(open + String(repeating: chunk, count: 8))
        #expect(drive(loop, [endless]) { endless.isEnded })
        #expect(asked.value == 0 && server.counters.tooLarge == 2)
        let exact = try RawClient(to: server.localAddress)
        exact.send(open + chunk + "0\r\n\r\n")
        #expect(drive(loop, [exact]) { exact.answers.first?.body == "POST / 100000" })
    }

    @Test func `a client that sends single bytes slowly is disconnected`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.receive = .milliseconds(600)
        let server = try testServer(loop, limits: limits, echo)
        let header = try RawClient(to: server.localAddress), body = try RawClient(to: server.localAddress)
        let idle = try RawClient(to: server.localAddress)
        header.send("GET / HTTP/1.1\r\nHost: x\r\n")
        body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        let drip = Timer(on: loop, "drip") {
            header.send("A: b\r\n")
            body.send("x")
        }
        drip.arm(every: .milliseconds(50))
        #expect(drive(loop, [header, body, idle], for: .seconds(5)) { header.isEnded && body.isEnded && idle.isEnded })
        #expect(drive(loop, []) { server.openConnections == 0 })
        #expect(server.counters.slow == 3 && server.counters.requests == 0)
    }

    @Test func `a client that does not read its answer is disconnected`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.send = .milliseconds(500)
        let server = try testServer(loop, limits: limits) { _, answer in
            answer(HTTPResponse(status: 200, body: [UInt8](repeating: 65, count: 32 << 20)))
        }
        let client = try RawClient(to: server.localAddress)
        client.reads = false
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [client]) { server.counters.slow == 1 && server.openConnections == 0 })
    }

    @Test func `two hundred clients are served at once`() throws {
        let loop = Loop()
        let waiting = Box<[HTTPServer.Answer]>([])
        let server = try testServer(loop) { _, answer in waiting.value.append(answer) }
        let clients = try (0..<200).map { _ in try RawClient(to: server.localAddress) }
        for (index, client) in clients.enumerated() { client.send("GET /\(index) HTTP/1.1\r\nHost: x\r\n\r\n") }
        #expect(drive(loop, clients) { waiting.value.count == 200 })
        #expect(server.openConnections == 200)
        for answer in waiting.value { answer(HTTPResponse(status: 200, body: [])) }
        #expect(drive(loop, clients) { clients.allSatisfy { $0.answers.first?.status == 200 } })
    }

    @Test func `beyond the limit clients wait for a place`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.connections = 4
        let server = try testServer(loop, limits: limits, echo)
        let clients = try (0..<20).map { _ in try RawClient(to: server.localAddress) }
        let most = Box(0)
        for client in clients { client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }
        let served = drive(loop, clients) {
            most.value = max(most.value, server.openConnections)
            return clients.allSatisfy { $0.answers.count == 1 }
        }
        #expect(served && most.value <= 4)
    }

    @Test func `a place that an idle client leaves is taken`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.connections = 2
        let server = try testServer(loop, limits: limits, echo)
        var idle: [RawClient]? = try (0..<2).map { _ in try RawClient(to: server.localAddress) }
        #expect(drive(loop, idle!) { server.openConnections == 2 })
        let next = try RawClient(to: server.localAddress)
        next.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in 0..<20 { loop.runOnce(nonblocking: true) }
        #expect(next.received.isEmpty)
        idle = nil
        #expect(drive(loop, [next]) { next.answers.count == 1 })
    }

    @Test func `a request without an answer gets an error`() throws {
        let loop = Loop()
        var limits = HTTPServer.Limits()
        limits.answer = .milliseconds(300)
        let late = Box<HTTPServer.Answer?>(nil)
        let server = try testServer(loop, limits: limits) { late.value = $1 }
        let client = try RawClient(to: server.localAddress)
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [client]) { client.answers.first?.status == 504 })
        #expect(server.counters.unanswered == 1)
        late.value?(HTTPResponse(status: 200, body: []))
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [client]) { client.answers.count == 2 })
        #expect(client.answers[1].status == 504)
    }

    @Test func `an answer to a client that has gone is dropped`() throws {
        let loop = Loop()
        let late = Box<HTTPServer.Answer?>(nil)
        let server = try testServer(loop) { late.value = $1 }
        var client: RawClient? = try RawClient(to: server.localAddress)
        client!.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(drive(loop, [client!]) { late.value != nil })
        client = nil
        late.value?(HTTPResponse(status: 200, body: [1, 2, 3]))
        #expect(drive(loop, []) { server.openConnections == 0 })
    }

    @Test func `a server that ends leaves nothing open`() throws {
        var ports: [UInt16] = []
        do {
            let loop = Loop()
            let late = Box<[HTTPServer.Answer]>([])
            let server = try testServer(loop) { late.value.append($1) }
            let clients = try (0..<10).map { _ in try RawClient(to: server.localAddress) }
            for client in clients { client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n") }
            #expect(drive(loop, clients) { late.value.count == 10 })
            ports.append(server.localAddress.port)
            #expect(socketCount(port: ports[0]) == 21)
            server.close()
            server.close()
            #expect(drive(loop, clients) { clients.allSatisfy(\.isEnded) })
            for answer in late.value { answer(HTTPResponse(status: 200, body: [])) }
        }
        do {
            let loop = Loop()
            let late = Box<[HTTPServer.Answer]>([])
            var server: HTTPServer? = try testServer(loop) { late.value.append($1) }
            let client = try RawClient(to: server!.localAddress)
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(drive(loop, [client]) { late.value.count == 1 })
            ports.append(server!.localAddress.port)
            server = nil
            #expect(drive(loop, [client]) { client.isEnded })
        }
        #expect(ports.map { socketCount(port: $0) } == [0, 0])
    }

    @Test func `an address in use is reported as such`() throws {
        let loop = Loop()
        let first = try testServer(loop, echo)
        #expect(throws: Errno(EADDRINUSE)) {
            try HTTPServer(
                on: loop, at: first.localEndpoint, tooLarge: HTTPAPI.tooLarge, unanswered: HTTPAPI.unanswered,
                onRequest: echo)
        }
    }
}
