import Base
import DequeModule
import Wire

/// # Loss recovery
///
/// RFC 9002. Every packet has a number of its own, so an acknowledgement is never ambiguous; what is sent again travels
/// in a new packet. A packet that asks for an ACK is lost when one numbered three higher was acknowledged, or one that was
/// sent 9/8 of a round trip later. Where nothing is acknowledged at all, the probe timeout lets two packets go that
/// carry the oldest data again, whatever the congestion window says; it doubles up to `maxProbeTimeout`, because a mesh
/// changes paths under a session and must notice soon when one works again.
///
/// Packets lie in a deque by number. All below `largestAcknowledged - 3` are acknowledged or lost and leave it, so
/// work is proportional to what an ACK newly says, not to what it repeats. A change of path makes a border in the
/// numbers: packets before it say nothing about the new path's round trip and capacity (RFC 9000, section 9.4).
struct LossRecovery: Sendable {
    /// RFC 9002, section 6.1.1.
    static let packetThreshold: UInt64 = 3
    static let maxProbeTimeout = Interval.seconds(3)
    /// RFC 9002, section 7.6.1.
    static let persistentFactor: Int64 = 3

    private var packets: Deque<SentPacket> = []
    private var base: UInt64 = 0
    /// The number of the next packet.
    private(set) var next: UInt64 = 0
    private var largestAcknowledged: UInt64?
    private(set) var roundTrip = RoundTripEstimator()
    private(set) var window: CongestionWindow
    private var pacer: Pacer
    private let limits: StreamLimits
    private var lossTime: Instant?
    private var lastElicitingAt = Instant.origin
    private var elicitingInFlight = 0
    private var backoff = 0
    /// Packets that may go whatever the window says.
    private(set) var probes = 0
    private var pathStart: UInt64 = 0
    /// The window or the pacer held up data when the sender last looked.
    var isFilled = false

    init(limits: StreamLimits, now: Instant) {
        self.limits = limits
        window = CongestionWindow(datagram: limits.datagram, maximum: limits.maxCongestionWindow)
        pacer = Pacer(datagram: limits.datagram, now: now)
    }

    var hasInFlight: Bool { elicitingInFlight > 0 }

    enum Gate: Hashable {
        case open, windowFull
        case paced(until: Instant)
    }

    mutating func gate(now: Instant) -> Gate {
        guard window.hasRoom else { return .windowFull }
        pacer.fill(
            window: window.size, isDoubling: window.isSlowStart, datagram: window.datagram,
            roundTrip: roundTrip.smoothed, now: now)
        return pacer.isOpen(datagram: window.datagram)
            ? .open : .paced(until: max(pacer.opens(datagram: window.datagram), now + .microseconds(10)))
    }

    mutating func raise(datagram: Int) { window.raise(datagram: datagram) }

    /// The packet numbered `next` leaves.
    mutating func sent(_ contents: SentContents, bytes: Int, acknowledges: UInt64?, now: Instant) {
        let elicitsAck = !contents.isEmpty
        next += 1
        if !elicitsAck && packets.isEmpty {
            base = next
            return
        }
        packets.append(
            SentPacket(
                sentAt: now, bytes: bytes, state: elicitsAck ? .outstanding : .untracked, contents: contents,
                acknowledges: acknowledges))
        guard elicitsAck else { return }
        window.inFlight += bytes
        elicitingInFlight += 1
        lastElicitingAt = now
        pacer.spend(bytes)
        if probes > 0 { probes -= 1 }
    }

    mutating func acknowledged(_ ack: AckFrame, now: Instant, into outcome: inout RecoveryOutcome) throws(StreamError) {
        let largest = ack.largest
        guard largest < next else { throw .unsentAcknowledged(largest) }
        let first = outcome.acknowledged.count
        var sample: Interval?
        for range in ack.ranges.reversed() where range.upperBound >= base {
            for number in max(range.lowerBound, base)...range.upperBound {
                let index = Int(number - base)
                guard packets[index].state == .outstanding else { continue }
                packets[index].state = .acknowledged
                if number == largest, number >= pathStart { sample = now - packets[index].sentAt }
                outcome.acknowledged.append(packets[index])
                leave(number, bytes: packets[index].bytes)
                packets[index].contents = SentContents()
                if number >= pathStart { outcome.growth.append((number, packets[index].bytes, packets[index].sentAt)) }
            }
        }
        largestAcknowledged = max(largestAcknowledged ?? 0, largest)
        guard outcome.acknowledged.count > first else { return }
        if let sample {
            let delay = min(Interval.microseconds(Int64(min(ack.delayMicroseconds, 1 << 40))), AckTracker.maxDelay)
            roundTrip.sample(sample, delay: delay)
        }
        for (number, bytes, sentAt) in outcome.growth {
            window.acknowledged(
                bytes, number: number, sentAt: sentAt, isFilled: isFilled, roundTrip: roundTrip, next: next, now: now)
        }
        outcome.growth.removeAll(keepingCapacity: true)
        backoff = 0
        probes = 0
        detectLosses(now: now, into: &outcome)
    }

    private mutating func leave(_ number: UInt64, bytes: Int) {
        elicitingInFlight -= 1
        if number >= pathStart { window.inFlight -= bytes }
    }

    private mutating func detectLosses(now: Instant, into outcome: inout RecoveryOutcome) {
        lossTime = nil
        guard let largest = largestAcknowledged, largest >= base else { return }
        let delay = roundTrip.lossDelay
        let persistent = roundTrip.probeTimeout(maxAckDelay: AckTracker.maxDelay) * LossRecovery.persistentFactor
        var lastLost: Instant?, runStart: Instant?, isPersistent = false
        for index in 0..<Int(largest - base) {
            let number = base + UInt64(index)
            switch packets[index].state {
            case .acknowledged: runStart = nil
            case .lost, .untracked: break
            case .outstanding:
                let sentAt = packets[index].sentAt
                guard largest - number >= LossRecovery.packetThreshold || sentAt + delay <= now else {
                    lossTime = min(lossTime ?? .distantFuture, sentAt + delay)
                    continue
                }
                packets[index].state = .lost
                leave(number, bytes: packets[index].bytes)
                outcome.lost.append(packets[index])
                packets[index].contents = SentContents()
                guard number >= pathStart else { continue }
                lastLost = sentAt
                if runStart == nil { runStart = sentAt }
                if let runStart, sentAt - runStart > persistent, roundTrip.hasSample { isPersistent = true }
            }
        }
        if let lastLost { window.lost(sentAt: lastLost, now: now) }
        if isPersistent {
            window.collapse()
            outcome.persistentCongestions += 1
        }
        trim()
    }

    private mutating func trim() {
        while let first = packets.first, first.state != .outstanding {
            packets.removeFirst()
            base += 1
        }
    }

    private var probeTimeout: Interval {
        let timeout = roundTrip.probeTimeout(maxAckDelay: AckTracker.maxDelay)
        return min(timeout * (1 << Int64(min(backoff, 20))), max(timeout, LossRecovery.maxProbeTimeout))
    }

    var deadline: Deadline? {
        if let lossTime { return Deadline(lossTime, "stream loss") }
        guard hasInFlight, probes == 0 else { return nil }
        return Deadline(lastElicitingAt + probeTimeout, "stream probe")
    }

    mutating func tick(now: Instant, into outcome: inout RecoveryOutcome) {
        guard let deadline, deadline.at <= now else { return }
        if lossTime != nil {
            detectLosses(now: now, into: &outcome)
            return
        }
        probes = 2
        backoff += 1
        outcome.probeTimeouts += 1
        repeatOldest(2, into: &outcome)
    }

    /// Lets the contents of the oldest packets be sent again; the packets themselves stay in flight.
    private mutating func repeatOldest(_ count: Int, into outcome: inout RecoveryOutcome) {
        var left = count
        for index in packets.indices where left > 0 && packets[index].state == .outstanding {
            left -= 1
            outcome.repeated.append(packets[index])
        }
    }

    /// Data takes another path. `losesInFlight` says that what is in flight on the old one will not arrive.
    mutating func pathChanged(
        roundTrip guess: Interval?, losesInFlight: Bool, now: Instant, into outcome: inout RecoveryOutcome
    ) {
        pathStart = next
        roundTrip = RoundTripEstimator(guess: guess)
        window = CongestionWindow(datagram: limits.datagram, maximum: limits.maxCongestionWindow)
        pacer = Pacer(datagram: limits.datagram, now: now)
        backoff = 0
        isFilled = false
        guard losesInFlight else { return }
        for index in packets.indices where packets[index].state == .outstanding {
            packets[index].state = .lost
            elicitingInFlight -= 1
            outcome.lost.append(packets[index])
        }
        lossTime = nil
        probes = 0
        trim()
    }
}

/// What a packet carried that matters if it is lost. Most packets carry one thing, which then costs no allocation.
struct SentContents: Sendable {
    enum Item: Hashable, Sendable {
        case stream(StreamID, Range<UInt64>, isLast: Bool)
        case control(StreamControl)
    }
    private(set) var first: Item?
    private(set) var more: [Item] = []

    var isEmpty: Bool { first == nil }

    mutating func append(_ item: Item) {
        if first == nil { first = item } else { more.append(item) }
    }
}

struct SentPacket: Sendable {
    enum State: Hashable, Sendable {
        case outstanding, acknowledged, lost
        /// Asks for no ACK, and so is never missed.
        case untracked
    }
    var sentAt: Instant
    var bytes: Int
    var state: State
    var contents: SentContents
    /// The largest number in the ACK frame that it carried.
    var acknowledges: UInt64?
}

/// What became of packets, for the mux to act on.
struct RecoveryOutcome: Sendable {
    var acknowledged: [SentPacket] = []
    var lost: [SentPacket] = []
    /// Not lost, but to be sent again as probes.
    var repeated: [SentPacket] = []
    var growth: [(UInt64, Int, Instant)] = []
    var persistentCongestions = 0
    var probeTimeouts = 0
}
