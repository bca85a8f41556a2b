import Base

/// Whether a controller answers, for people: silence and its end are reported once each.
struct ControllerWatch: Sendable {
    /// When the last heartbeat was answered.
    private(set) var answeredAt: Instant?
    private(set) var lostAt: Instant?

    /// Heartbeats are sent once a second.
    static let patience = Interval.seconds(5)

    /// A member that has had no answer since its start reports that after this time.
    static let startPatience = Interval.seconds(10)

    /// After this silence the controller's names are resolved again.
    static let doubt = Interval.seconds(3)

    func isSilent(for interval: Interval, now: Instant) -> Bool { answeredAt.map { now - $0 >= interval } ?? true }

    /// True if this was not reported yet.
    mutating func lost(now: Instant) -> Bool {
        guard lostAt == nil, answeredAt != nil else { return false }
        lostAt = now
        return true
    }

    /// For a member that has had no answer since its start at `start`: true once, when that has lasted.
    mutating func isAbsent(since start: Instant, now: Instant) -> Bool {
        guard answeredAt == nil, lostAt == nil, now - start >= ControllerWatch.startPatience else { return false }
        lostAt = start
        return true
    }

    enum Answer: Hashable {
        /// The first of all.
        case first
        /// The first after silence of this length.
        case again(after: Interval)
        case expected
    }

    /// A heartbeat was answered.
    mutating func answered(now: Instant) -> Answer {
        let before = answeredAt
        answeredAt = now
        let wasLost = lostAt != nil
        lostAt = nil
        guard let before else { return .first }
        guard wasLost else { return .expected }
        return .again(after: now - before)
    }
}
