import Base
import DequeModule
import Wire

/// # Loss recovery
///
/// RFC 9002. Every packet has its own number, so an acknowledgement is never ambiguous; retransmitted data is sent in a new
/// packet. A packet that asks for an ACK is lost when one numbered three higher was acknowledged, or one that was sent 9/8 of
/// a round trip later. Where nothing is acknowledged at all, the probe timeout allows two packets that carry the oldest data
/// again, regardless of the congestion window. It doubles up to `maxProbeTimeout`, because a mesh changes paths under a
/// session and must detect soon when one works again.
///
/// On paths that reorder, late packets look lost. Numbers declared lost are kept for a while. When one is acknowledged after
/// all, both thresholds grow (RFC 9002, section 6.1.1), and a window that was reduced only because of such packets is
/// restored (RFC 9438, section 4.9.2).
///
/// Packets that ask for an ACK lie in a deque by number. All that are a threshold below the largest acknowledged leave
/// it as acknowledged or lost, so the work is proportional to what an ACK newly acknowledges, not to what it repeats. A
/// change of path divides the numbers: packets before it show nothing about the new path's round trip and capacity (RFC 9000,
/// section 9.4).
struct LossRecovery: Sendable {
    /// RFC 9002, section 6.1.1, for a path that does not reorder; and how far reordering may raise it.
    static let packetThresholds: ClosedRange<UInt64> = 3...256
    /// RFC 9002, section 6.1.2, in eighths of a round trip; and how far reordering may raise it.
    static let timeThresholds: ClosedRange<Int64> = 9...16
    /// How many lost numbers are kept, and how long.
    static let maxMissing = 256
    static let missingAge: UInt64 = 1024
    static let maxProbeTimeout = Interval.seconds(3)
    /// RFC 9002, section 7.6.1.
    static let persistentFactor: Int64 = 3

    private var packets: Deque<SentPacket> = []
    /// The number of the next packet.
    private(set) var next: UInt64 = 0
    private var largestAcknowledged: UInt64?
    private(set) var roundTrip = RoundTripEstimator()
    private(set) var window: CongestionWindow
    private var pacer: Pacer
    private let limits: StreamLimits
    private var packetThreshold = packetThresholds.lowerBound
    private var timeThreshold = timeThresholds.lowerBound
    private var missing: Deque<Missing> = []
    private var lossTime: Instant?
    private var lastElicitingAt = Instant.origin
    private var elicitingInFlight = 0
    private var backoff = 0
    /// Packets that may be sent regardless of the window.
    private(set) var probes = 0
    private var pathStart: UInt64 = 0
    /// The window or the pacer held back data at the sender's last attempt.
    private var isFilled = false

    private struct Missing: Sendable {
        let number: UInt64
        let sentAt: Instant
    }

    init(limits: StreamLimits, now: Instant) {
        self.limits = limits
        window = CongestionWindow(datagram: limits.datagram, maximum: limits.maxCongestionWindow)
        pacer = Pacer(datagram: limits.datagram, now: now)
    }

    var hasInFlight: Bool { elicitingInFlight > 0 }

    mutating func rest() {
        if packets.isEmpty { packets = [] }
        // Packets that are so late are lost.
        missing = []
    }

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

    /// Sets whether the window or the pacer holds back data now.
    mutating func setFilled(_ isFilled: Bool) { self.isFilled = isFilled }

    /// The packet numbered `next` leaves.
    mutating func sent(_ contents: SentContents, bytes: Int, acknowledges: UInt64?, now: Instant) {
        let number = next
        next += 1
        // A packet that asks for no ACK is never missed.
        guard !contents.isEmpty else { return }
        packets.append(
            SentPacket(number: number, sentAt: now, bytes: bytes, contents: contents, acknowledges: acknowledges))
        window.sent(bytes)
        elicitingInFlight += 1
        lastElicitingAt = now
        pacer.spend(bytes)
        if probes > 0 { probes -= 1 }
    }

    mutating func acknowledged(_ ack: AckFrame, now: Instant, into outcome: inout Outcome) throws(StreamError) {
        let largest = ack.largest
        guard largest < next else { throw .unsentAcknowledged(largest) }
        let first = outcome.acknowledged.count
        var sample: Interval?
        for range in ack.ranges.reversed() {
            guard let front = packets.first, range.upperBound >= front.number else { continue }
            var index = range.lowerBound <= front.number ? 0 : indexOfFirst(from: range.lowerBound)
            while index < packets.count, packets[index].number <= range.upperBound {
                defer { index += 1 }
                guard packets[index].state == .outstanding else { continue }
                packets[index].become(.acknowledged)
                let packet = packets[index]
                if packet.number == largest, largest >= pathStart { sample = now - packet.sentAt }
                outcome.acknowledged.append(packet)
                leave(packet)
                packets[index].dropContents()
            }
        }
        largestAcknowledged = max(largestAcknowledged ?? 0, largest)
        if !missing.isEmpty { findLate(ack, now: now, into: &outcome) }
        guard outcome.acknowledged.count > first else { return }
        if let sample {
            let delay = min(Interval.microseconds(Int64(min(ack.delayMicroseconds, 1 << 40))), AckTracker.maxDelay)
            roundTrip.sample(sample, delay: delay)
        }
        for packet in outcome.acknowledged[first...] where packet.number >= pathStart {
            window.acknowledged(packet, isFilled: isFilled, roundTrip: roundTrip, next: next, now: now)
        }
        backoff = 0
        probes = 0
        detectLosses(now: now, into: &outcome)
    }

    private mutating func leave(_ packet: SentPacket) {
        elicitingInFlight -= 1
        if packet.number >= pathStart { window.left(packet.bytes) }
    }

    private func indexOfFirst(from number: UInt64) -> Int {
        var low = 0, high = packets.count
        while low < high {
            let middle = (low + high) / 2
            if packets[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Looks for numbers that were declared lost and arrived nevertheless. Both lists are sorted, so one pass is enough.
    private mutating func findLate(_ ack: AckFrame, now: Instant, into outcome: inout Outcome) {
        let largest = largestAcknowledged ?? 0
        while let first = missing.first, first.number + LossRecovery.missingAge < largest { missing.removeFirst() }
        var index = missing.count - 1
        for range in ack.ranges {
            while index >= 0, missing[index].number > range.upperBound { index -= 1 }
            while index >= 0, missing[index].number >= range.lowerBound {
                let late = missing.remove(at: index)
                index -= 1
                outcome.late += 1
                packetThreshold = max(
                    packetThreshold, min(largest - late.number + 1, LossRecovery.packetThresholds.upperBound))
                if now - late.sentAt > lossDelay {
                    timeThreshold = min(timeThreshold + 1, LossRecovery.timeThresholds.upperBound)
                }
                window.arrivedLate(sentAt: late.sentAt)
            }
        }
    }

    private var lossDelay: Interval {
        max(max(roundTrip.latest, roundTrip.smoothed) * timeThreshold / 8, RoundTripEstimator.granularity)
    }

    private mutating func miss(_ packet: SentPacket) {
        missing.append(Missing(number: packet.number, sentAt: packet.sentAt))
        if missing.count > LossRecovery.maxMissing { missing.removeFirst() }
    }

    private mutating func detectLosses(now: Instant, into outcome: inout Outcome) {
        lossTime = nil
        guard let largest = largestAcknowledged else { return }
        let delay = lossDelay
        let persistent = roundTrip.probeTimeout(maxAckDelay: AckTracker.maxDelay) * LossRecovery.persistentFactor
        var lastLost: Instant?, runStart: Instant?, isPersistent = false, lostCount = 0
        var index = 0
        while index < packets.count, packets[index].number < largest {
            defer { index += 1 }
            let number = packets[index].number
            switch packets[index].state {
            case .acknowledged: runStart = nil
            case .lost: break
            case .outstanding:
                let sentAt = packets[index].sentAt
                guard largest - number >= packetThreshold || sentAt + delay <= now else {
                    lossTime = min(lossTime ?? .distantFuture, sentAt + delay)
                    continue
                }
                packets[index].become(.lost)
                leave(packets[index])
                outcome.lost.append(packets[index])
                packets[index].dropContents()
                guard number >= pathStart else { continue }
                miss(packets[index])
                lastLost = sentAt
                lostCount += 1
                if runStart == nil { runStart = sentAt }
                if let runStart, sentAt - runStart > persistent, roundTrip.hasSample { isPersistent = true }
            }
        }
        if let lastLost { window.lost(lostCount, sentAt: lastLost, now: now) }
        if isPersistent {
            window.collapse()
            outcome.persistentCongestions += 1
        }
        trim()
    }

    private mutating func trim() {
        while let first = packets.first, first.state != .outstanding {
            packets.removeFirst()
        }
    }

    private var probeTimeout: Interval {
        let timeout = roundTrip.probeTimeout(maxAckDelay: AckTracker.maxDelay)
        guard timeout < LossRecovery.maxProbeTimeout else { return timeout }
        return min(timeout * (1 << Int64(min(backoff, 20))), LossRecovery.maxProbeTimeout)
    }

    var deadline: Deadline? {
        if let lossTime { return Deadline(lossTime, "stream loss") }
        guard hasInFlight, probes == 0 else { return nil }
        return Deadline(lastElicitingAt + probeTimeout, "stream probe")
    }

    mutating func tick(now: Instant, into outcome: inout Outcome) {
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
    private mutating func repeatOldest(_ count: Int, into outcome: inout Outcome) {
        for packet in packets where packet.state == .outstanding {
            outcome.repeated.append(packet)
            if outcome.repeated.count == count { return }
        }
    }

    /// Data uses another path. `losesInFlight`: packets in flight on the old one will not arrive.
    mutating func pathChanged(
        roundTrip prediction: Interval?, losesInFlight: Bool, now: Instant, into outcome: inout Outcome
    ) {
        pathStart = next
        roundTrip = RoundTripEstimator(prediction: prediction)
        window = CongestionWindow(datagram: limits.datagram, maximum: limits.maxCongestionWindow)
        pacer = Pacer(datagram: limits.datagram, now: now)
        packetThreshold = LossRecovery.packetThresholds.lowerBound
        timeThreshold = LossRecovery.timeThresholds.lowerBound
        missing.removeAll()
        backoff = 0
        isFilled = false
        guard losesInFlight else { return }
        for index in packets.indices where packets[index].state == .outstanding {
            packets[index].become(.lost)
            elicitingInFlight -= 1
            outcome.lost.append(packets[index])
        }
        lossTime = nil
        probes = 0
        trim()
    }
}

extension LossRecovery {
    /// The fate of packets, for the mux to act on.
    struct Outcome: Sendable {
        fileprivate(set) var acknowledged: [SentPacket] = []
        fileprivate(set) var lost: [SentPacket] = []
        /// Not lost, but to be sent again as probes.
        fileprivate(set) var repeated: [SentPacket] = []
        /// Packets declared lost that arrived.
        fileprivate(set) var late = 0
        fileprivate(set) var persistentCongestions = 0
        fileprivate(set) var probeTimeouts = 0
    }
}
