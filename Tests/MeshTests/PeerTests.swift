import Base
import Testing
import Wire

@testable import Mesh

/// The parts of a peer, and the table of peers, without an endpoint.
@Suite struct PeerTests {
    private static let now = Instant(nanoseconds: 1_000_000_000)

    private static func add(_ number: UInt8, to table: inout PeerTable) -> Peer {
        table.insert { slot in
            Peer(
                node: NodeID([UInt8](repeating: number, count: 32))!, slot: slot, association: 1, paths: PathSet(),
                streams: StreamMux(role: .lower, now: now), now: now)
        }
    }

    // MARK: - PeerTable

    @Test func `a slot is used again, and a removed peer is found no more`() {
        var table = PeerTable()
        let first = Self.add(1, to: &table), second = Self.add(2, to: &table)
        #expect(table[0] === first && table[second.node] === second && table[2] == nil)
        table.remove(first)
        #expect(table[0] == nil && table[first.node] == nil && table.map(\.node) == [second.node])
        let third = Self.add(3, to: &table)
        #expect(third.slot == 0 && table.map(\.node) == [third.node, second.node])
    }

    @Test func `marked peers come once, in the order of the marks, those that are marked meanwhile too`() {
        var table = PeerTable()
        let peers = (1...3).map { Self.add($0, to: &table) }
        for peer in [peers[2], peers[0], peers[2]] { table.mark(peer) }
        #expect(table.popMarked() === peers[2])
        table.mark(peers[1])
        #expect(table.popMarked() === peers[0])
        #expect(table.popMarked() === peers[1])
        #expect(table.popMarked() == nil)
    }

    @Test func `marks and times of a removed peer do not pass to the next one in its slot`() {
        var table = PeerTable()
        let first = Self.add(1, to: &table)
        table.mark(first)
        table.setTimer(of: first, at: Self.now)
        table.remove(first)
        table.mark(first)
        let second = Self.add(2, to: &table)
        #expect(second.slot == first.slot && table.popMarked() == nil)
        #expect(table.earliest() == nil && table.popDue(Self.now) == nil)
        table.setTimer(of: second, at: Self.now)
        #expect(table.popDue(Self.now) === second)
    }

    // MARK: - Liveness

    @Test func `each handshake without effect doubles the wait, until keys have helped`() {
        let once = MeshConfiguration.unansweredBeforeHandshake
        var liveness = Liveness()
        liveness.handshakeStarted()
        #expect(liveness.patience == once, "nothing was unanswered")
        liveness.expectAnswer(Self.now)
        for _ in 0..<5 { liveness.handshakeStarted() }
        #expect(liveness.patience == once * 8)
        liveness.received(Self.now, keyAge: .seconds(1))
        #expect(liveness.patience == once * 8 && liveness.unansweredSince == nil)
        liveness.received(Self.now, keyAge: .seconds(10))
        #expect(liveness.patience == once)
    }

    @Test func `a peer that receives packets must answer, and one that sends them gets an answer`() {
        var liveness = Liveness()
        liveness.received(Self.now)
        liveness.packetsSent(Self.now + .milliseconds(800))
        liveness.checkAnswer(toPacketsAt: Self.now + .milliseconds(800))
        #expect(liveness.unansweredSince == nil)
        liveness.checkAnswer(toPacketsAt: Self.now + .milliseconds(900))
        #expect(liveness.unansweredSince == Self.now + .milliseconds(900))
        let isOwedEarly = liveness.packetsReceived(Self.now + .milliseconds(1600))
        #expect(!isOwedEarly && liveness.unansweredSince == nil)
        let isOwedLate = liveness.packetsReceived(Self.now + .milliseconds(1700))
        #expect(isOwedLate)
    }

    @Test func `anything sent or received ends the rest`() {
        var liveness = Liveness()
        #expect(liveness.restAt == nil)
        liveness.sent(Self.now)
        #expect(liveness.restAt == Self.now + .seconds(20))
        liveness.rest()
        #expect(liveness.isResting && liveness.restAt == nil)
        liveness.received(Self.now + .seconds(30))
        #expect(!liveness.isResting && liveness.lastActivityAt == Self.now + .seconds(30))
    }

    // MARK: - FrameQueue

    @Test func `frames that do not fit stay, and answers are asked for by those that went`() {
        var queue = FrameQueue()
        queue.append(.message([UInt8](repeating: 0, count: 1000)))
        queue.append(.ping(token: 1))
        var first = ByteWriter(), second = ByteWriter()
        #expect(!queue.take(limit: 1015, into: &first) && first.count > 1000)
        #expect(queue.take(limit: 1015, into: &second) && second.count == 9)
        var third = ByteWriter()
        #expect(!queue.take(limit: 1015, into: &third) && third.count == 0)
    }

    @Test func `a ping is answered once`() {
        var queue = FrameQueue()
        queue.pingSent(7, now: Self.now)
        #expect(queue.pingAnswered(8, now: Self.now) == nil)
        #expect(queue.pingAnswered(7, now: Self.now + .milliseconds(5)) == .milliseconds(5))
        #expect(queue.pingAnswered(7, now: Self.now) == nil)
    }
}
