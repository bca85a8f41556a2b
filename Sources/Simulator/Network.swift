import Base

/// # Lines between machines
///
/// Each machine has one line, up and down, and everything that it says to anybody passes both its own and the other's.
/// So the state is one line a machine, however many pairs talk. A datagram is, in this order: refused by a partition,
/// lost, held back by the rate of the sender's line and of the receiver's (or dropped, if too much waits), delayed,
/// perhaps out of its turn, perhaps twice, perhaps with a bit turned over.
///
/// A partition is a set of machines and a direction: what they say is not heard outside, or what is said outside is not
/// heard by them, or both. Several may hold at once.
final class Network {
    struct Line {
        var distance = Interval.zero
        /// In a bad time, as Gilbert and Elliott have it.
        var isBad = false
        var freeUp = Instant.origin
        var freeDown = Instant.origin
        var cloggedUntil = Instant.origin
        /// The machine's address is 10.0.0.0 + index + 65536 times this.
        var roamed: UInt32 = 0
    }
    struct Partition {
        var id: Int
        var inside: [Bool]
        var blocksOut: Bool
        var blocksIn: Bool
    }
    enum Fate {
        case lost(Timeline.Kind)
        case arrives(Instant, again: Instant?)
    }

    private(set) var options: Scenario.NetworkOptions
    private(set) var lines: [Line]
    private(set) var partitions: [Partition] = []
    private var random: Random
    private var partitionsMade = 0

    static let port: UInt16 = 7950

    init(_ options: Scenario.NetworkOptions, machines: Int, random: Random) {
        self.options = options
        self.random = random
        lines = Array(repeating: Line(), count: machines)
        for index in lines.indices where options.spread > .zero {
            lines[index].distance = self.random.interval(in: .zero...options.spread)
        }
    }

    func address(of machine: Int) -> SocketAddress {
        SocketAddress(.v4(0x0a00_0000 + UInt32(machine) + lines[machine].roamed << 16), Network.port)
    }

    /// The machine that has this address at present.
    func machine(at address: SocketAddress) -> Int? {
        guard case .v4(let value) = address.ip else { return nil }
        let index = Int(value & 0xffff)
        guard index < lines.count, self.address(of: index) == address else { return nil }
        return index
    }

    func roam(_ machine: Int) { lines[machine].roamed = (lines[machine].roamed + 1) & 0xff }
    func clog(_ machine: Int, until time: Instant) { lines[machine].cloggedUntil = time }

    func part(_ inside: [Bool], out: Bool, in inwards: Bool) -> Int {
        partitionsMade += 1
        partitions.append(Partition(id: partitionsMade, inside: inside, blocksOut: out, blocksIn: inwards))
        return partitionsMade
    }
    func heal(_ id: Int) { partitions.removeAll { $0.id == id } }

    /// Everything is well from here on; what was measured stays.
    func healAll() {
        partitions = []
        options.loss = min(options.loss, 100)
        options.burst = 0
        options.corruption = 0
        for index in lines.indices {
            lines[index].cloggedUntil = .origin
            lines[index].isBad = false
        }
    }

    func isParted(_ from: Int, _ to: Int) -> Bool {
        for partition in partitions {
            let inside = (partition.inside[from], partition.inside[to])
            if inside.0 && !inside.1 && partition.blocksOut { return true }
            if !inside.0 && inside.1 && partition.blocksIn { return true }
        }
        return false
    }

    /// What becomes of a datagram of `count` bytes between two machines.
    func carry(_ count: Int, from: Int, to: Int, now: Instant) -> Fate {
        if !partitions.isEmpty, isParted(from, to) { return .lost(.refusedByPartition) }
        if isLost(from) || isLost(to) { return .lost(.lost) }
        guard let left = pass(count, through: &lines[from].freeUp, rate: rate(of: from), now),
            let arrived = pass(count, through: &lines[to].freeDown, rate: rate(of: to), left)
        else { return .lost(.queueFull) }
        var at = arrived + delay(from, to)
        at = max(at, max(lines[from].cloggedUntil, lines[to].cloggedUntil))
        let again = roll(options.duplication) ? at + delay(from, to) : nil
        return .arrives(at, again: again)
    }

    /// Turns over one bit, if it is this datagram's fate.
    func corrupt(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard options.corruption > 0, !bytes.isEmpty, roll(options.corruption) else { return false }
        bytes[random.index(below: bytes.count)] ^= 1 << UInt8(random.next(below: 8))
        return true
    }

    private func roll(_ chance: UInt64) -> Bool { chance > 0 && random.chance(chance, in: 10_000) }

    private func isLost(_ machine: Int) -> Bool {
        if options.burst > 0 {
            // A bad time is over after 50 datagrams on average.
            if lines[machine].isBad ? random.chance(200, in: 10_000) : roll(options.burst) {
                lines[machine].isBad.toggle()
            }
            if lines[machine].isBad { return random.chance(1, in: 2) }
        }
        return roll(options.loss)
    }

    private func delay(_ from: Int, _ to: Int) -> Interval {
        var time = options.latency + lines[from].distance + lines[to].distance
        if options.jitter > .zero { time = time + random.interval(in: .zero...options.jitter) }
        if roll(options.reordering) { time = time * random.next(in: 2...10) }
        return time
    }

    private func rate(of machine: Int) -> Int64 { machine == 0 ? options.rate * 100 : options.rate }

    /// When the last byte is through a line of limited rate; `nil` if the line's queue is full.
    private func pass(_ count: Int, through free: inout Instant, rate: Int64, _ now: Instant) -> Instant? {
        guard rate > 0 else { return now }
        // 28 bytes of IPv4 and UDP travel along.
        let time = Interval.nanoseconds(Int64(count + 28) * 1_000_000_000 / rate)
        let begin = max(now, free)
        guard begin - now < .nanoseconds(options.queueBytes * 1_000_000_000 / rate) else { return nil }
        free = begin + time
        return begin + time
    }
}
