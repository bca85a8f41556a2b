import Base
import Mesh
import Testing

@Suite struct QueueLengthTests {
    /// Turns of a millisecond each, for so long; what was requested.
    private func run(
        _ queue: inout QueueLength, _ clock: inout Instant, milliseconds: Int, packets: Int, size: Int, isFull: Bool
    ) -> [Int] {
        (0..<milliseconds).compactMap { _ in
            clock = clock + .milliseconds(1)
            return queue.turn(packets: packets, bytes: packets * size, isFull: isFull, now: clock)
        }
    }

    @Test func `bulk that fills the queue makes it as long as what is carried in a moment`() {
        var queue = QueueLength(), clock = Instant.origin
        // 16 super-packets of 62 KB in a millisecond: 4.5 ms are 72 of them.
        let lengths = run(&queue, &clock, milliseconds: 300, packets: 16, size: 62_000, isFull: true)
        #expect(lengths.count == 1 && (70...74).contains(lengths[0]), "\(lengths)")
        // A little more or less is no reason to change it.
        #expect(run(&queue, &clock, milliseconds: 300, packets: 20, size: 62_000, isFull: true).isEmpty)
        // Half of it is.
        let slower = run(&queue, &clock, milliseconds: 300, packets: 8, size: 62_000, isFull: true)
        #expect(slower.count == 1 && (34...37).contains(slower[0]), "\(slower)")
        // Never so short that it would run empty between two turns.
        queue = QueueLength()
        #expect(run(&queue, &clock, milliseconds: 300, packets: 1, size: 62_000, isFull: true) == [32])
    }

    @Test func `it is wide again once bulk is gone`() {
        var queue = QueueLength(), clock = Instant.origin
        _ = run(&queue, &clock, milliseconds: 300, packets: 16, size: 62_000, isFull: true)
        #expect(queue.packets < QueueLength.wide)
        #expect(queue.widen(clock + .seconds(50)) == nil)
        #expect(run(&queue, &clock, milliseconds: 50_000, packets: 1, size: 100, isFull: false).isEmpty)
        let lengths = run(&queue, &clock, milliseconds: 15_000, packets: 1, size: 100, isFull: false)
        #expect(lengths == [QueueLength.wide])
        #expect(queue.widen(clock + .seconds(100)) == nil)
    }

    @Test func `it is wide again without a further packet`() {
        var queue = QueueLength(), clock = Instant.origin
        _ = run(&queue, &clock, milliseconds: 300, packets: 16, size: 62_000, isFull: true)
        #expect(queue.widen(clock + .seconds(61)) == QueueLength.wide)
    }

    @Test(arguments: [(400, 64, true), (16, 62_000, false), (50, 1420, true)])
    func `small packets, and bulk that does not fill the queue, change nothing`(
        packets: Int, size: Int, isFull: Bool
    ) {
        var queue = QueueLength(), clock = Instant.origin
        #expect(run(&queue, &clock, milliseconds: 500, packets: packets, size: size, isFull: isFull).isEmpty)
    }

    @Test func `a pause does not show what can be carried`() {
        var queue = QueueLength(), clock = Instant.origin
        for _ in 0..<20 {
            #expect(run(&queue, &clock, milliseconds: 30, packets: 16, size: 62_000, isFull: true).isEmpty)
            clock = clock + .seconds(1)
        }
    }
}
