import Base

/// RFC 9002, section 5: the smoothed round trip, its variation and its minimum, in integers.
struct RoundTripEstimator: Sendable {
    /// RFC 9002, section 6.2.2.
    static let initial = Interval.milliseconds(333)
    /// No path takes longer; only a suspended machine does.
    static let maximum = Interval.seconds(10)
    /// RFC 9002, section 6.1.2.
    static let granularity = Interval.milliseconds(1)

    private(set) var smoothed: Interval
    private(set) var variation: Interval
    private(set) var latest: Interval
    private(set) var minimum: Interval
    private(set) var hasSample = false

    /// `prediction` comes from elsewhere, such as a probe of the path; the first sample replaces it.
    init(prediction: Interval? = nil) {
        let prediction = prediction ?? RoundTripEstimator.initial
        smoothed = min(max(prediction, RoundTripEstimator.granularity), RoundTripEstimator.maximum)
        variation = smoothed / 2
        latest = smoothed
        minimum = smoothed
    }

    /// `delay` is how long, by its own report, the peer waited before it acknowledged, already within its bound.
    mutating func sample(_ measured: Interval, delay: Interval) {
        let sample = min(measured, RoundTripEstimator.maximum)
        latest = sample
        guard hasSample else {
            hasSample = true
            minimum = sample
            smoothed = sample
            variation = sample / 2
            return
        }
        minimum = min(minimum, sample)
        let adjusted = sample >= minimum + delay ? sample - delay : sample
        let difference = Interval(nanoseconds: Int64((smoothed - adjusted).nanoseconds.magnitude))
        variation = (variation * 3 + difference) / 4
        smoothed = (smoothed * 7 + adjusted) / 8
    }

    /// How long after the last packet silence is suspicious, before backoff (section 6.2.1).
    func probeTimeout(maxAckDelay: Interval) -> Interval {
        smoothed + max(variation * 4, RoundTripEstimator.granularity) + maxAckDelay
    }
}
