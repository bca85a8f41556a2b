import Base

/// # Whose time counts
///
/// Certificates state their end by the clock of the controller that signed them. A node with a wrong clock must not be
/// disconnected for that: it could then be neither warned nor repaired. So a node learns the difference to the controller's
/// clock over their session, and checks certificates by the controller's time.
///
/// A difference of less than a minute is ignored: nothing in the fleet depends on it.
struct FleetClock: Sendable {
    private var clock: WallClock
    /// The controller's clock minus this node's; `nil` until a controller has sent its clock.
    private(set) var offset: Interval?
    /// How far this machine's clock has been set since the last comparison.
    private var moved = Interval.zero

    /// Differences of at least this are reported, and are corrected for.
    static let tolerance = Interval.minutes(1)
    /// A change of the own clock that is reported to the controller at once.
    static let step = Interval.seconds(5)

    init(_ wall: UnixTime, at now: Instant) { clock = WallClock(wall, at: now) }

    /// The time of this machine's clock. Returns true where it has been set by much since the last time, at once or in
    /// small steps. Then the controller's clock is to be requested.
    mutating func set(_ wall: UnixTime, now: Instant) -> Bool {
        let change = wall - clock.wall(now)
        clock.set(wall, now: now)
        // The controller's clock has not moved with it.
        offset = offset.map { $0 - change }
        moved = moved + change
        guard moved.magnitude >= FleetClock.step else { return false }
        moved = .zero
        return true
    }

    /// What a controller's clock shows at this moment.
    mutating func learn(_ controller: UnixTime, now: Instant) { offset = controller - clock.wall(now) }

    func own(_ now: Instant) -> UnixTime { clock.wall(now) }

    /// The time by which certificates are judged.
    func wall(_ now: Instant) -> UnixTime { clock.wall(now) + (isOff ? offset ?? .zero : .zero) }

    /// Whether the two clocks differ by more than the tolerance.
    var isOff: Bool { (offset ?? .zero).magnitude >= FleetClock.tolerance }

    enum Report: Hashable {
        case nothing
        case differs
        case agrees
    }

    /// The difference that was last reported.
    private var reported: Interval?

    /// What is new since the last report: the clocks differ, by another amount than was reported, or they agree again.
    mutating func report(now: Instant) -> Report {
        guard isOff, let offset else {
            guard reported != nil else { return .nothing }
            reported = nil
            return .agrees
        }
        if let reported, (offset - reported).magnitude < FleetClock.tolerance { return .nothing }
        reported = offset
        return .differs
    }
}
