import Base
import Testing
import Wire

@testable import Mesh

/// Loss, outages and changes of path.
@Suite struct StreamRecoveryTests {
    @Test func `the loss of the last packets is noticed by the probe timeout`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.isReading = false
        let id = try #require(pair.open(0))
        _ = pair.muxes[0].write([1], to: id)
        pair.run(for: .seconds(1))
        pair.isDark = true
        _ = pair.muxes[0].write([UInt8](repeating: 2, count: 2000), to: id)
        pair.muxes[0].finish(id)
        pair.settle()
        pair.isDark = false
        let start = pair.now
        #expect(pair.run(for: .seconds(2)) { pair.muxes[1].readable(id) == 2001 })
        // The only sample is 75 ms with the delay of its ACK; that, four times half of it, 25 ms, and half a round
        // trip.
        #expect((pair.now - start).milliseconds == 75 + 150 + 25 + 25)
        #expect(pair.muxes[0].counters.probeTimeouts == 1)
    }

    @Test(arguments: UInt64(1)...5)
    func `an outage of ten seconds is survived and soon recovered from`(seed: UInt64) throws {
        var path = StreamPath()
        path.bytesPerSecond = 1_000_000
        let pair = StreamPair(path, seed: seed), traffic = StreamTraffic(pair)
        let ids = [traffic.open(0, sending: 6_000_000), traffic.open(1, sending: 6_000_000)].compactMap { $0 }
        pair.run(for: .seconds(2))
        pair.isDark = true
        let sentBefore = pair.muxes[0].counters.packetsSent
        pair.run(for: .seconds(10))
        // Probes only: the window does not let more go.
        #expect(pair.muxes[0].counters.packetsSent - sentBefore < 300)
        pair.isDark = false
        let light = pair.now
        let before = traffic.incoming[1][ids[0]]?.count ?? 0
        #expect(pair.run(for: .seconds(5)) { (traffic.incoming[1][ids[0]]?.count ?? 0) > before + 10_000 })
        #expect(pair.now - light <= LossRecovery.maxProbeTimeout + .seconds(1))
        #expect(pair.run(for: .seconds(60)) { pair.muxes.allSatisfy { $0.buffered == 0 } })
        #expect(traffic.incoming[1][ids[0]]?.count == 6_000_000)
        #expect(traffic.incoming[0][ids[1]]?.count == 6_000_000)
        #expect(pair.muxes[0].counters.persistentCongestions + pair.muxes[1].counters.persistentCongestions > 0)
    }

    @Test func `a dead path's data goes at once over the new one`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        let id = try #require(traffic.open(0, sending: 2_000_000))
        pair.run(for: .milliseconds(300))
        pair.isDark = true
        pair.run(for: .seconds(1))
        pair.isDark = false
        for side in 0...1 {
            pair.muxes[side].pathChanged(
                roundTrip: .milliseconds(10), losesInFlight: true, now: pair.now, into: &pair.events[side])
            #expect(pair.muxes[side].bytesInFlight == 0 && pair.muxes[side].congestionWindow == 12_000)
        }
        pair.path.latency = .milliseconds(5)
        let before = traffic.incoming[1][id]?.count ?? 0
        let start = pair.now
        #expect(pair.run(for: .seconds(1)) { (traffic.incoming[1][id]?.count ?? 0) > before })
        #expect((pair.now - start).milliseconds < 50)
        #expect(pair.run(for: .seconds(30)) { traffic.incoming[1][id]?.isFinished == true })
    }

    @Test func `packets of the old path show nothing about the new one`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        let id = try #require(traffic.open(0, sending: 400_000))
        pair.run(for: .milliseconds(120))
        #expect(pair.muxes[0].bytesInFlight > 0)
        pair.muxes[0].pathChanged(roundTrip: nil, losesInFlight: false, now: pair.now, into: &pair.events[0])
        #expect(pair.muxes[0].bytesInFlight == 0 && pair.muxes[0].roundTrip == nil)
        #expect(pair.run(for: .seconds(30)) { traffic.incoming[1][id]?.isFinished == true })
        pair.run(for: .seconds(1))
        #expect(pair.muxes[0].bytesInFlight == 0 && pair.muxes[0].counters.packetsLost == 0)
    }

    @Test func `a window follows the cubic from its loss through its old size and beyond`() {
        var window = CongestionWindow(datagram: 1000, maximum: 10_000_000)
        var roundTrip = RoundTripEstimator()
        roundTrip.sample(.milliseconds(100), delay: .zero)
        var now = Instant.origin + .seconds(1), number: UInt64 = 0
        func deliver(_ bytes: Int) {
            for _ in 0..<bytes / 1000 {
                let packet = SentPacket(number: number, sentAt: now, bytes: 1000, contents: SentContents())
                number += 1
                window.acknowledged(packet, isFilled: true, roundTrip: roundTrip, next: number, now: now)
            }
        }
        while window.size < 100_000 { deliver(window.size) }
        let top = window.size
        now = now + .milliseconds(100)
        window.lost(1, sentAt: now, now: now)
        window.lost(2, sentAt: now - .milliseconds(1), now: now)
        #expect(window.size == top * 7 / 10 && !window.isSlowStart)
        // K = cbrt(0.3 W / 0.4): for 100 packets 4.2 s.
        let start = now, inflection = Int64(cubeRoot(UInt64(top) * 750_000_000 / 1000))
        var sizes: [(Int64, Int)] = []
        for _ in 0..<90 {
            now = now + .milliseconds(100)
            deliver(window.size)
            sizes.append(((now - start).milliseconds, window.size))
        }
        for (time, size) in sizes where time > 300 {
            let t = Double(time - inflection) / 1000
            let expected = Double(top) + 0.4 * t * t * t * 1000
            let reno = 0.7 * Double(top) + 0.529 * Double(time) / 100 * 1000
            #expect(abs(Double(size) - max(expected, min(reno, Double(top) * 1.3))) < 0.12 * Double(top), "\(time) ms")
        }
        #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0.1 <= $1.1 })
    }

    @Test func `a window is restored when all that was lost turns up, and not before`() {
        var window = CongestionWindow(datagram: 1000, maximum: 10_000_000)
        let now = Instant.origin + .seconds(1), before = window.size
        window.lost(1, sentAt: now, now: now)
        window.lost(2, sentAt: now, now: now)
        window.arrivedLate(sentAt: now)
        window.arrivedLate(sentAt: now)
        #expect(window.size == before * 7 / 10)
        window.arrivedLate(sentAt: now)
        #expect(window.size == before && window.isSlowStart)
    }

    @Test func `a window that is not filled does not grow`() {
        var window = CongestionWindow(datagram: 1200, maximum: 10_000_000)
        let now = Instant.origin + .seconds(1)
        for number in 0..<100 {
            let packet = SentPacket(number: UInt64(number), sentAt: now, bytes: 1200, contents: SentContents())
            window.acknowledged(
                packet, isFilled: false, roundTrip: RoundTripEstimator(), next: UInt64(number) + 1, now: now)
        }
        #expect(window.size == 12_000)
    }

    @Test func `a paced window leaves in a round trip, not in a burst`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        _ = try #require(traffic.open(0, sending: 4_000_000))
        pair.run(for: .milliseconds(180))
        let window = pair.muxes[0].congestionWindow
        #expect(window > 80_000)
        var most = 0
        for _ in 0..<100 {
            let before = pair.bytesSent[0]
            pair.run(for: .milliseconds(1))
            most = max(most, pair.bytesSent[0] - before)
        }
        #expect(most < pair.muxes[0].congestionWindow / 5, "\(most) bytes in a millisecond")
    }

    @Test func `an acknowledgement that is ten hours late neither traps nor stops the probes`() throws {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        let id = try #require(traffic.open(0, sending: 100_000))
        pair.run(for: .milliseconds(60))
        pair.now = pair.now + .seconds(36_000)
        #expect(pair.run(for: .seconds(120)) { traffic.incoming[1][id]?.isFinished == true })
        #expect(try #require(pair.muxes[0].roundTrip) <= .seconds(10))
        pair.isDark = true
        _ = traffic.open(0, sending: 1000)
        pair.run(for: .seconds(3600))
        #expect(pair.muxes[0].counters.probeTimeouts > 60)
        pair.isDark = false
        #expect(pair.run(for: .seconds(60)) { pair.muxes[0].isIdle })
    }

    @Test func `round trips are smoothed as RFC 9002 states`() {
        var estimator = RoundTripEstimator()
        #expect(estimator.probeTimeout(maxAckDelay: .zero) == .milliseconds(999))
        estimator.sample(.milliseconds(100), delay: .milliseconds(20))
        #expect(estimator.smoothed == .milliseconds(100) && estimator.variation == .milliseconds(50))
        estimator.sample(.milliseconds(140), delay: .milliseconds(20))
        #expect(estimator.smoothed == .microseconds(102_500) && estimator.variation == .microseconds(42_500))
        // A delay that would bring the sample below the minimum is ignored.
        estimator.sample(.milliseconds(110), delay: .milliseconds(25))
        #expect(estimator.latest == .milliseconds(110) && estimator.minimum == .milliseconds(100))
        #expect(estimator.smoothed == .nanoseconds(103_437_500))
    }
}
