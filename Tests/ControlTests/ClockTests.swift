import Base
import Control
import Mesh
import Testing
import Wire

/// Machines with wrong clocks still belong to the fleet, and both sides report the difference.
@Suite struct ClockTests {
    static let day = Interval.minutes(24 * 60)

    private func expectNamed(_ pair: TestPair, _ difference: Interval) {
        let differences = pair.notices.compactMap { notice -> Interval? in
            if case .clockDiffers(let own, let controller) = notice { own - controller } else { nil }
        }
        #expect(differences.count == 1, "\(differences)")
        #expect(((differences.first ?? .zero) - difference).magnitude < .seconds(1))
        #expect(pair.status?.clock?.differs ?? false)
        let events = pair.events.filter { $0.kind == .clockDiffers }
        #expect(events.count == 1)
        #expect(events.first?.nodeName == "alpha")
        let offset = pair.controllerStatus?.nodeClocks?.first?.offsetMilliseconds ?? 0
        #expect(abs(offset - difference.milliseconds) < 1000)
        #expect(pair.node?.clockOffsetMilliseconds == offset)
    }

    @Test(arguments: [60, -60, 1440, -1440, 576_000, -576_000] as [Int64])
    func `a node whose clock is off joins, and both sides name the difference within 10 s`(minutes: Int64) {
        let off = Interval.minutes(minutes)
        let pair = TestPair()
        pair.agentClockError = off
        pair.startAgent()
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("not let in")
            return
        }
        pair.run(.seconds(8))
        #expect(pair.node?.state == .online)
        expectNamed(pair, off)
    }

    @Test(arguments: [1440, -1440, 86_400, -86_400] as [Int64])
    func `a controller whose clock is off keeps its nodes, and both sides name the difference`(minutes: Int64) {
        let off = Interval.minutes(minutes)
        let pair = TestPair()
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("not let in")
            return
        }
        pair.run(.seconds(3))
        pair.controllerClockError = off
        pair.startController()
        pair.run(.seconds(40))
        // Sixty days ahead, the node's certificate has ended; the node is let in no more, and that is right.
        guard off < .minutes(30 * 24 * 60) else {
            #expect(pair.node?.state != .online)
            return
        }
        #expect(pair.node?.state == .online)
        expectNamed(pair, .zero - off)
    }

    @Test func `a clock that is set while the node runs is named within 10 s, and so is its return`() {
        let pair = TestPair()
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("not let in")
            return
        }
        pair.run(.seconds(3))
        #expect(pair.status?.clock?.differs == false)
        pair.setClocks(agent: .minutes(60), controller: .zero)
        pair.run(.seconds(5))
        expectNamed(pair, .minutes(60))
        pair.setClocks(agent: .zero, controller: .zero)
        pair.run(.seconds(5))
        #expect(pair.notices.last == .clockAgrees)
        #expect(pair.events.contains { $0.kind == .clockAgrees })
        #expect(pair.controllerStatus?.nodeClocks == [])
        // The controller's own.
        pair.notices = []
        pair.setClocks(agent: .zero, controller: .zero - Self.day)
        pair.run(.seconds(5))
        #expect(pair.notices.contains { if case .clockDiffers = $0 { true } else { false } })
        #expect(pair.node?.state == .online)
    }

    @Test func `half a minute is no difference`() {
        let pair = TestPair()
        pair.agentClockError = .seconds(30)
        pair.startAgent()
        _ = pair.join(pair.createToken())
        pair.run(.seconds(5))
        #expect(!pair.notices.contains { if case .clockDiffers = $0 { true } else { false } })
        #expect(pair.events.allSatisfy { $0.kind != .clockDiffers })
    }

    @Test func `a certificate that is not renewed is reported once when it is near its end`() {
        let pair = TestPair()
        _ = pair.join(pair.createToken())
        pair.run(.seconds(2))
        pair.controller = nil
        let life = Authority.life
        // No controller has sent anything since the start: the node's own clock counts.
        pair.agentClockError = life * 3 / 4
        pair.startAgent()
        pair.notify(.clock(pair.wall + pair.agentClockError))
        #expect(!pair.notices.contains { if case .certificateEnds = $0 { true } else { false } })
        pair.agentClockError = life * 9 / 10
        pair.startAgent()
        for _ in 0..<3 { pair.notify(.clock(pair.wall + pair.agentClockError)) }
        #expect(pair.notices.count { if case .certificateEnds = $0 { true } else { false } } == 1)
    }
}
