import Base
import Mesh
import Testing
import Wire

/// Laws of one stream's life and of the limits, between two muxes.
@Suite struct StreamMuxTests {
    @Test func `a stream that only ends is opened, ended and freed at both ends`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.answer = 0
        let id = try #require(traffic.open(0, sending: 0))
        pair.run(for: .seconds(2))
        #expect(traffic.opened[1] == [id])
        #expect(traffic.incoming[1][id]?.isFinished == true && traffic.incoming[0][id]?.isFinished == true)
        #expect(traffic.closed == [[id], [id]])
        #expect(pair.muxes.allSatisfy { $0.openCount == 0 && $0.deadline == nil && $0.isIdle })
    }

    @Test func `an idle mux has no deadline and sends nothing`() {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        #expect(pair.muxes.allSatisfy { $0.deadline == nil && $0.isIdle })
        traffic.answer = 10
        _ = traffic.open(1, sending: 5000)
        pair.run(for: .seconds(3))
        let sent = pair.bytesSent
        #expect(pair.muxes.allSatisfy { $0.deadline == nil && $0.isIdle })
        pair.run(for: .seconds(3600))
        #expect(pair.bytesSent == sent)
    }

    @Test func `ten thousand short streams in turn leave nothing behind`() {
        var path = StreamPath()
        path.latency = .microseconds(100)
        var limits = StreamLimits()
        limits.allowance.streams = 8
        let pair = StreamPair(path, limits: [limits, limits]), traffic = StreamTraffic(pair)
        traffic.answer = 3
        // One that lives all the while, so that the oldest stream is not the one to go.
        let elder = pair.open(0)!
        _ = pair.write(0, Array(StreamPattern.bytes(elder, at: 0, count: 3)), to: elder)
        var started = 0, largest = 0
        traffic.onClosed = { [unowned traffic] side, _ in
            largest = max(largest, pair.muxes[0].openCount, pair.muxes[1].openCount)
            if side == 0, started < 10_000, traffic.open(0, sending: 20) != nil { started += 1 }
        }
        for _ in 0..<4 where traffic.open(0, sending: 20) != nil { started += 1 }
        pair.run(for: .seconds(600)) { traffic.closed[0].count >= 10_000 && traffic.closed[1].count >= 10_000 }
        #expect(traffic.closed[0].count == 10_000 && traffic.closed[1].count == 10_000)
        #expect(largest <= 8)
        #expect(pair.muxes.map(\.openCount) == [1, 1])
        #expect(traffic.incoming[1].values.filter { $0.isFinished && $0.count == 20 }.count == 10_000)
    }

    @Test func `no more streams are open than the peer allows, and a new allowance is reported`() throws {
        var limits = StreamLimits()
        limits.allowance.streams = 3
        let pair = StreamPair(limits: [StreamLimits(), limits]), traffic = StreamTraffic(pair)
        let ids = (0..<3).compactMap { _ in traffic.open(0, sending: 10) }
        #expect(ids.count == 3 && pair.open(0) == nil)
        pair.run(for: .seconds(2))
        #expect(traffic.openables[0] == 0)
        traffic.write(1, ids[1], total: 5)
        pair.run(for: .seconds(2))
        #expect(traffic.closed[0] == [ids[1]] && traffic.openables[0] == 1)
        #expect(pair.open(0) == StreamID(sequence: 3, opener: 0))
        #expect(pair.open(0) == nil)
    }

    @Test func `a slow reader delays only its own stream, and bounds the memory of both ends`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let slow = try #require(traffic.open(0, sending: 12_000_000))
        pair.run(for: .seconds(30))
        let limits = StreamLimits()
        #expect(pair.muxes[1].readable(slow) == Int(limits.allowance.streamWindow))
        #expect(pair.muxes[0].buffered == limits.streamSendBuffer)
        #expect(traffic.outgoing[0][slow]!.written == limits.streamSendBuffer + Int(limits.allowance.streamWindow))

        traffic.isReading = true
        let quick = try #require(traffic.open(0, sending: 3_000_000))
        #expect(pair.run(for: .seconds(30)) { traffic.incoming[1][quick]?.isFinished == true })
        #expect(pair.muxes[1].readable(slow) == Int(limits.allowance.streamWindow))

        traffic.read(1, slow)
        #expect(pair.run(for: .seconds(30)) { traffic.incoming[1][slow]?.isFinished == true })
        #expect(traffic.incoming[1][slow]?.count == 12_000_000)
    }

    @Test func `the sum of streams is held up by the connection's window`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let ids = (0..<10).compactMap { _ in traffic.open(0, sending: 500_000) }
        pair.run(for: .seconds(30))
        let limits = StreamLimits()
        #expect(pair.muxes[1].heldForReading == Int(limits.allowance.window))
        traffic.isReading = true
        for id in ids { traffic.read(1, id) }
        #expect(pair.run(for: .seconds(30)) { traffic.incoming[1].values.filter(\.isFinished).count == 10 })
        #expect(traffic.incoming[1].values.allSatisfy { $0.count == 500_000 })
    }

    @Test func `reads in small bites see every byte once`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let id = try #require(traffic.open(0, sending: 100_000))
        pair.run(for: .seconds(5))
        var random = Random(Seed(5))
        for _ in 0..<100_000 where traffic.incoming[1][id]?.isFinished != true {
            traffic.read(1, id, limit: 1 + random.index(below: 700))
        }
        #expect(traffic.incoming[1][id]?.count == 100_000)
    }

    @Test func `auto-tuning of windows lets a long path be filled`() throws {
        var path = StreamPath()
        path.latency = .milliseconds(100)
        let pair = StreamPair(path), traffic = StreamTraffic(pair)
        let id = try #require(traffic.open(0, sending: 40_000_000)), start = pair.now
        #expect(pair.run(for: .seconds(60)) { traffic.incoming[1][id]?.isFinished == true })
        // With the initial window of 1 MiB every round trip of 200 ms it would take 7.6 s.
        #expect((pair.now - start).milliseconds < 5500)
    }

    @Test func `streams of one sender share the path evenly`() throws {
        var path = StreamPath()
        path.bytesPerSecond = 2_000_000
        let pair = StreamPair(path), traffic = StreamTraffic(pair)
        let ids = (0..<20).compactMap { _ in traffic.open(0, sending: 400_000) }
        pair.run(for: .seconds(2))
        let counts = ids.map { traffic.incoming[1][$0]?.count ?? 0 }
        let least = try #require(counts.min()), most = try #require(counts.max())
        #expect(least > 50_000)
        // Loss strikes some streams and not others; a few packets' difference is all it may make.
        #expect(most - least < 60_000, "\(counts)")
        #expect(pair.run(for: .seconds(20)) { traffic.incoming[1].values.filter(\.isFinished).count == 20 })
    }

    @Test func `a reset discards data, gives the reader its code and frees both ends`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let id = try #require(traffic.open(0, sending: 3_000_000))
        pair.run(for: .seconds(1))
        traffic.write(1, id, total: 100)
        pair.muxes[0].reset(id, code: 99)
        pair.muxes[0].reset(id, code: 100)
        #expect(pair.muxes[0].buffered == 0 && pair.write(0, [1], to: id) == 0)
        pair.run(for: .seconds(2))
        #expect(traffic.incoming[1][id]?.reset == 99)
        traffic.read(0, id)
        pair.run(for: .seconds(2))
        #expect(pair.muxes.map(\.openCount) == [0, 0])
        // All that was counted against the connection's window has been given back.
        #expect(pair.muxes[1].heldForReading == 0)
        traffic.isReading = true
        let next = try #require(traffic.open(0, sending: 5_000_000))
        #expect(pair.run(for: .seconds(20)) { traffic.incoming[1][next]?.isFinished == true })
    }

    @Test func `a reader that stops makes the writer reset with the same code`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let id = try #require(traffic.open(0, sending: 50_000_000))
        pair.run(for: .seconds(1))
        pair.muxes[1].stop(id, code: 7, into: &pair.events[1])
        #expect(pair.muxes[1].readable(id) == 0)
        pair.run(for: .seconds(2))
        #expect(traffic.stopped[0][id] == 7)
        #expect(traffic.incoming[1][id]?.reset == nil)
        #expect(pair.muxes[0].buffered == 0 && pair.muxes[1].heldForReading == 0)
        traffic.write(1, id, total: 0)
        pair.run(for: .seconds(2))
        traffic.read(0, id)
        pair.run(for: .seconds(2))
        #expect(pair.muxes.map(\.openCount) == [0, 0])
    }

    @Test(arguments: UInt64(1)...20)
    func `resets and stops at random times under loss leave no state behind`(seed: UInt64) {
        var random = Random(Seed(seed))
        var path = StreamPath()
        path.lossPerMille = 150
        path.jitter = .milliseconds(10)
        let pair = StreamPair(path, seed: seed), traffic = StreamTraffic(pair)
        traffic.answer = 30_000
        for round in 0..<30 {
            let side = round % 2
            if let id = traffic.open(side, sending: random.index(below: 200_000)) {
                pair.run(for: random.interval(in: .zero...(.milliseconds(200))))
                switch random.index(below: 4) {
                case 0: pair.muxes[side].reset(id, code: 1)
                case 1: pair.muxes[1 - side].reset(id, code: 2)
                case 2: pair.muxes[1 - side].stop(id, code: 3, into: &pair.events[1 - side])
                default: pair.muxes[side].stop(id, code: 4, into: &pair.events[side])
                }
            }
        }
        // A stream that one end has reset before its answer was begun is finished by the test.
        #expect(pair.errors.isEmpty)
        pair.run(for: .seconds(120)) { pair.muxes.allSatisfy { $0.openCount == 0 } }
        #expect(pair.muxes.map(\.openCount) == [0, 0])
        #expect(pair.muxes.map(\.buffered) == [0, 0])
        pair.run(for: .seconds(20))
        #expect(pair.muxes.map(\.heldForReading) == [0, 0])
        #expect(pair.muxes.allSatisfy { $0.bytesInFlight == 0 && $0.deadline == nil })
    }

    @Test func `a write cut short is followed by a report of room`() throws {
        var limits = StreamLimits()
        limits.streamSendBuffer = 10_000
        limits.sendBuffer = 25_000
        let pair = StreamPair(limits: [limits, limits]), traffic = StreamTraffic(pair)
        let ids = (0..<6).compactMap { _ in traffic.open(0, sending: 200_000) }
        #expect(pair.muxes[0].buffered == 25_000)
        #expect(pair.run(for: .seconds(60)) { traffic.incoming[1].values.filter(\.isFinished).count == 6 })
        #expect(ids.allSatisfy { traffic.incoming[1][$0]?.count == 200_000 })
        #expect(pair.muxes[0].buffered <= 25_000)
    }
}
