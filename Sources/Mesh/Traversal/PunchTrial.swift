import Base

/// Both ends probe each other's candidates; whether a direct path comes of it is known when this is over.
struct PunchTrial {
    /// When it has failed, unless ports are being predicted.
    let until: Instant
    private(set) var hasPredicted = false

    /// Hole-punch probes go on for twelve seconds, and the last of them is waited for.
    private static let length = Interval.seconds(13)

    init(now: Instant) { until = now + PunchTrial.length }

    /// Ports were predicted meanwhile.
    mutating func predicted() { hasPredicted = true }
}
