import Base
import Wire

/// # Nodes whose clocks are wrong
///
/// Nodes report their clocks when they connect, when their clock is set, and when the controller asks because its own
/// clock was set. The controller's clock is the reference (`FleetClock`). The controller only reports the nodes that
/// differ.
struct NodeClocks {
    /// How far the controller's clock has been set, in steps that are too small to be reported one by one.
    private var moved = Interval.zero

    private static let viewLimit = 20

    /// What the controller's wall clock shows.
    mutating func set(_ wall: UnixTime, core: inout ControllerCore, now: Instant) {
        moved = moved + (wall - core.clock.wall(now))
        core.clock.set(wall, now: now)
        guard moved.magnitude >= FleetClock.step else { return }
        moved = .zero
        for slot in core.registry.entries.indices where core.registry[slot].link != nil {
            core.send(.clock(ClockReading(wall, expectsReply: true)), to: slot)
        }
    }

    /// What a node's clock shows.
    func apply(
        _ reading: ClockReading, of slot: Int, core: inout ControllerCore, now: Instant,
        into out: inout ControllerOutbox
    ) {
        let wall = core.clock.wall(now)
        if reading.expectsReply { core.send(.clock(ClockReading(wall, expectsReply: false)), to: slot) }
        switch core.registry[slot].apply(clockOffset: reading.clock - wall) {
        case .nothing: break
        case .agrees:
            out.persist([core.record(.clockAgrees, "its clock agrees with the controller's", slot: slot, now: now)])
        case .differs:
            let text = "its clock shows \(reading.clock), the controller's \(wall)"
            out.persist([core.record(.clockDiffers, text, slot: slot, now: now)])
        }
    }

    /// Those that differ most, first.
    static func views(_ registry: Registry) -> [NodeClockView] {
        let views = differing(registry).map { entry in
            NodeClockView(
                node: entry.record.node, name: entry.name,
                offsetMilliseconds: (entry.clockOffset ?? .zero).milliseconds)
        }
        return Array(
            views.sorted { ($1.offsetMilliseconds.magnitude, $0.name) < ($0.offsetMilliseconds.magnitude, $1.name) }
                .prefix(viewLimit))
    }

    /// Of those that are present.
    static func differing(_ registry: Registry) -> [NodeEntry] {
        registry.entries.filter { entry in
            entry.isPresent && (entry.clockOffset ?? .zero).magnitude >= FleetClock.tolerance
        }
    }
}
