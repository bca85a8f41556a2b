import Base

/// # Whose time counts
///
/// Certificates report until when they hold by the clock of the controller that signed them. A node whose own clock is wrong
/// must not be cut off for that: it could neither be informed nor be mended. So a node learns how far the controller's clock is
/// from its own, over the session with the controller, and judges certificates by the controller's time.
///
/// A difference of less than a minute is no difference: nothing in the fleet depends on it.
struct FleetClock: Sendable {
    private var clock: WallClock
    /// The controller's clock minus this node's; `nil` until a controller has reported.
    private(set) var offset: Interval?
    /// How far this machine's clock has been set since that was last worth a comparison.
    private var moved = Interval.zero

    /// Differences from here on are reported, and are allowed for.
    static let tolerance = Interval.minutes(1)
    /// A change of the own clock that is reported to the controller at once.
    static let step = Interval.seconds(5)

    init(_ wall: UnixTime, at now: Instant) { clock = WallClock(wall, at: now) }

    /// What this machine's clock reports. True where it has been set by much since the last time, at once or bit by bit: then
    /// it is time to ask what the controller's shows.
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

    /// Whether the two clocks differ by more than anybody should ignore.
    var isOff: Bool { (offset ?? .zero).magnitude >= FleetClock.tolerance }

    enum Report: Hashable {
        case nothing
        case differs
        case agrees
    }

    /// The difference that was last reported.
    private var reported: Interval?

    /// What is news since the last time: the clocks differ, by another amount than was reported, or they agree again.
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
