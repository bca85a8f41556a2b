import Base

/// # CUBIC in integers
///
/// RFC 9438 with the loss events of RFC 9002. After a loss at window W the window falls to 0.7 W and then follows
///
///     W(t) = C (t - K)^3 + Wmax        C = 0.4 packets/s^3,  K = cbrt((Wmax - W(0)) / C)
///
/// flat around the size that was too large, steep far from it, and never below the window of Reno (`estimate`). Bytes and
/// milliseconds replace packets and seconds; remainders of divisions are carried over, so that slow growth is not lost. A
/// window that the application does not fill does not grow, and the time in which it is not full does not count as t.
struct CongestionWindow: Sendable {
    private(set) var size: Int
    private(set) var threshold = Int.max
    private(set) var inFlight = 0
    private(set) var datagram: Int
    private let maximum: Int
    /// Losses of packets sent before this instant belong to the event that set it.
    private var recoveryStart: Instant?
    private var epoch: CubicEpoch?
    private var lastMaximum = 0
    private var unfilledSince: Instant?
    private var slowStart = SlowStartExit()
    private var event: LossEvent?

    /// The last reduction: the state before it, and whether it turns out to have been unnecessary.
    private struct LossEvent: Sendable {
        let size: Int
        let threshold: Int
        let lastMaximum: Int
        let epoch: CubicEpoch?
        var lost: Int
        var late = 0
    }

    private struct CubicEpoch: Sendable {
        var start: Instant
        let origin: Int
        /// K in milliseconds.
        let inflection: Int64
        var estimate: Int
        var estimateCarry = 0
        var growthCarry = 0
    }

    init(datagram: Int, maximum: Int) {
        self.datagram = datagram
        // The products of sizes and times in here and in the pacer are bounded for windows up to 2^26.
        self.maximum = max(min(maximum, 1 << 26), 2 * datagram)
        size = CongestionWindow.initial(datagram)
    }

    /// RFC 9002, section 7.2.
    private static func initial(_ datagram: Int) -> Int { min(10 * datagram, max(14_720, 2 * datagram)) }
    private var minimum: Int { 2 * datagram }

    var isSlowStart: Bool { size < threshold }
    var hasRoom: Bool { inFlight + datagram <= size }
    var room: Int { max(0, size - inFlight) }

    /// `bytes` are in flight from now on, or no longer.
    mutating func sent(_ bytes: Int) { inFlight += bytes }
    mutating func left(_ bytes: Int) { inFlight -= bytes }

    mutating func raise(datagram: Int) {
        guard datagram > self.datagram else { return }
        self.datagram = datagram
        size = max(size, minimum)
    }

    /// A packet arrived. `isFilled` states whether the window limited the sender, `next` is the number of the
    /// next packet to be sent.
    mutating func acknowledged(
        _ packet: SentPacket, isFilled: Bool, roundTrip: RoundTripEstimator, next: UInt64, now: Instant
    ) {
        if let recoveryStart, packet.sentAt <= recoveryStart { return }
        guard isFilled else {
            if unfilledSince == nil { unfilledSince = now }
            return
        }
        if let since = unfilledSince {
            unfilledSince = nil
            if let start = epoch?.start { epoch?.start = start + (now - since) }
        }
        if isSlowStart {
            let growth = slowStart.growth(packet.bytes)
            size = min(maximum, size + growth)
            if slowStart.isOver(after: packet.number, next: next, roundTrip: roundTrip.latest) { threshold = size }
        } else {
            avoid(packet.bytes, roundTrip: roundTrip.smoothed, now: now)
        }
    }

    private mutating func avoid(_ bytes: Int, roundTrip: Interval, now: Instant) {
        var epoch = self.epoch ?? begin(now: now)
        let elapsed = (now - epoch.start).milliseconds
        // Reno's growth: 9/17 = 3 (1 - 0.7) / (1 + 0.7) of a packet a window until Wmax, then a whole packet.
        let (numerator, denominator) = epoch.estimate < lastMaximum ? (9, 17) : (1, 1)
        epoch.estimateCarry += bytes * datagram * numerator
        epoch.estimate += epoch.estimateCarry / (size * denominator)
        epoch.estimateCarry %= size * denominator

        if cubic(elapsed, epoch) < epoch.estimate {
            size = max(size, epoch.estimate)
        } else {
            let target = min(max(cubic(elapsed + roundTrip.milliseconds, epoch), size), size / 2 * 3)
            epoch.growthCarry += (target - size) * bytes
            let growth = epoch.growthCarry / size
            epoch.growthCarry %= size
            size += growth
        }
        size = min(size, maximum)
        self.epoch = epoch
    }

    private mutating func begin(now: Instant) -> CubicEpoch {
        var inflection: Int64 = 0
        if size < lastMaximum {
            // ((Wmax - W) / datagram / 0.4) s^3 in ms^3; windows below 2^27 keep it below 2^63.
            inflection = Int64(cubeRoot(UInt64(lastMaximum - size) * 2_500_000_000 / UInt64(datagram)))
        } else {
            lastMaximum = size
        }
        return CubicEpoch(start: now, origin: lastMaximum, inflection: inflection, estimate: size)
    }

    /// W(t), t in milliseconds.
    private func cubic(_ elapsed: Int64, _ epoch: CubicEpoch) -> Int {
        let t = Int(min(max(elapsed - epoch.inflection, -100_000), 100_000))
        // |t|^3 is at most 10^15, so that the product stays below 2^63 for datagrams up to 64 KiB divided first.
        return epoch.origin + t * t * t / 1_000_000 * 4 * datagram / 10_000
    }

    /// `count` packets were lost, the latest of them sent at `sentAt` (RFC 9002, section 7.3.2; RFC 9438, sections 4.6,
    /// 4.7).
    mutating func lost(_ count: Int, sentAt: Instant, now: Instant) {
        if let recoveryStart, sentAt <= recoveryStart {
            event?.lost += count
            return
        }
        recoveryStart = now
        event = LossEvent(size: size, threshold: threshold, lastMaximum: lastMaximum, epoch: epoch, lost: count)
        // Fast convergence: a sender that loses before it is back at the old maximum leaves room for others.
        lastMaximum = size < lastMaximum ? size * 17 / 20 : size
        size = max(size * 7 / 10, minimum)
        threshold = size
        epoch = nil
        unfilledSince = nil
    }

    /// A packet that was reported to be lost arrived. Where that is so for all of an event, the event did not happen.
    mutating func arrivedLate(sentAt: Instant) {
        guard let recoveryStart, sentAt <= recoveryStart, event != nil else { return }
        event!.late += 1
        guard let before = event, before.late >= before.lost else { return }
        size = max(size, before.size)
        threshold = before.threshold
        lastMaximum = before.lastMaximum
        epoch = before.epoch
        self.recoveryStart = nil
        event = nil
    }

    /// Persistent congestion: nothing arrived for a long time (RFC 9002, section 7.6).
    mutating func collapse() {
        size = minimum
        recoveryStart = nil
        event = nil
        epoch = nil
        slowStart = SlowStartExit()
    }
}

/// HyStart++ (RFC 9406) in short: slow start ends when the smallest round trip of a round of packets is clearly above that of
/// the round before, because then a queue builds up. Growth slows to a quarter for five rounds as a confirmation, and
/// continues if the round trip falls again.
private struct SlowStartExit: Sendable {
    private var roundEnd: UInt64 = 0
    private var lastMinimum = Interval(nanoseconds: .max)
    private var minimum = Interval(nanoseconds: .max)
    private var samples = 0
    private var cautiousRounds = 0
    private var baseline = Interval(nanoseconds: .max)

    func growth(_ bytes: Int) -> Int { cautiousRounds > 0 ? max(1, bytes / 4) : bytes }

    /// `number` was acknowledged with a round trip; `next` is the number of the next packet to be sent.
    mutating func isOver(after number: UInt64, next: UInt64, roundTrip: Interval) -> Bool {
        if number >= roundEnd {
            roundEnd = next
            if cautiousRounds > 0 {
                cautiousRounds += 1
                if cautiousRounds > 5 { return true }
            }
            lastMinimum = minimum
            minimum = Interval(nanoseconds: .max)
            samples = 0
        }
        minimum = min(minimum, roundTrip)
        samples += 1
        guard samples >= 8, lastMinimum.nanoseconds != .max else { return false }
        if cautiousRounds > 0 {
            if minimum < baseline { cautiousRounds = 0 }
        } else {
            let tolerance = min(max(lastMinimum / 8, .milliseconds(4)), .milliseconds(16))
            if minimum >= lastMinimum + tolerance {
                cautiousRounds = 1
                baseline = minimum
            }
        }
        return false
    }
}

/// The integer part of the cube root, by digits (H. S. Warren, "Hacker's Delight", 11-2).
func cubeRoot(_ value: UInt64) -> UInt64 {
    var rest = value, root: UInt64 = 0
    for shift in stride(from: UInt64(63), through: 0, by: -3) {
        root *= 2
        let step = 3 * root * (root + 1) + 1
        if rest >> shift >= step {
            rest -= step << shift
            root += 1
        }
    }
    return root
}
