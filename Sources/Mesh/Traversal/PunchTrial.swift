import Base

/// Both ends probe each other's candidates; at its end it is known whether there is a direct path.
struct PunchTrial {
    /// When it has failed, unless ports are being predicted.
    let until: Instant
    private(set) var hasPredicted = false

    /// Hole-punch probes are sent for twelve seconds, plus the wait for an answer to the last one.
    private static let length = Interval.seconds(13)

    init(now: Instant) { until = now + PunchTrial.length }

    /// Ports were predicted meanwhile.
    mutating func predicted() { hasPredicted = true }
}
