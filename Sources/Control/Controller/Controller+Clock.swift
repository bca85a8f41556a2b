import Base
import Wire

// Nodes say what their clocks show when they connect, when their clock is set, and when the controller's is set and it asks.
// The controller's clock counts (`FleetClock`); it only reports who differs.

extension Controller {
    mutating func set(_ wall: UnixTime, now: Instant) {
        clockMoved = clockMoved + (wall - clock.wall(now))
        clock.set(wall, now: now)
        guard clockMoved.magnitude >= FleetClock.step else { return }
        clockMoved = .zero
        for slot in registry.entries.indices where registry[slot].stream != nil {
            send(.clock(ClockReading(wall, wantsAnswer: true)), to: slot)
        }
    }

    mutating func apply(_ reading: ClockReading, _ slot: Int, now: Instant, into out: inout ControllerOutbox) {
        let wall = clock.wall(now), offset = reading.clock - wall
        if reading.wantsAnswer { send(.clock(ClockReading(wall, wantsAnswer: false)), to: slot) }
        registry[slot].clockOffset = offset
        let reported = registry[slot].reportedOffset
        guard offset.magnitude >= FleetClock.tolerance else {
            guard reported != nil else { return }
            registry[slot].reportedOffset = nil
            return out.persist([record(.clockAgrees, "its clock agrees with the controller's", slot: slot, now: now)])
        }
        if let reported, (offset - reported).magnitude < FleetClock.tolerance { return }
        registry[slot].reportedOffset = offset
        let text = "its clock shows \(reading.clock), the controller's \(wall)"
        out.persist([record(.clockDiffers, text, slot: slot, now: now)])
    }

    /// Those that differ most, first.
    var nodeClocks: [NodeClockView] {
        let views = nodesWithOtherClock.map { entry in
            NodeClockView(
                node: entry.record.node, name: entry.name,
                offsetMilliseconds: (entry.clockOffset ?? .zero).milliseconds)
        }
        return Array(
            views.sorted { ($1.offsetMilliseconds.magnitude, $0.name) < ($0.offsetMilliseconds.magnitude, $1.name) }
                .prefix(Controller.nodeClockLimit))
    }

    /// Of those that are there.
    var nodesWithOtherClock: [NodeEntry] {
        registry.entries.filter { entry in
            guard entry.state == .online || entry.state == .suspect else { return false }
            return (entry.clockOffset ?? .zero).magnitude >= FleetClock.tolerance
        }
    }

    private static let nodeClockLimit = 20
}

extension NodeDescription {
    /// `labels: zone=a -> zone=b, rack=3`, for the event log.
    func change(from old: NodeDescription) -> String {
        func text(_ labels: [Label]) -> String {
            labels.isEmpty ? "none" : labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        }
        var parts: [String] = []
        if name != old.name { parts.append("name: \(old.name ?? "") -> \(name ?? "")") }
        if site != old.site {
            parts.append("site: \(old.site.isEmpty ? "none" : old.site) -> \(site.isEmpty ? "none" : site)")
        }
        if labels != old.labels { parts.append("labels: \(text(old.labels)) -> \(text(labels))") }
        return parts.joined(separator: "; ")
    }
}

extension NodeDescription {
    /// Why no certificate can hold these labels; `nil` where one can. They are sorted by name.
    var labelProblem: String? {
        let bad = labels.first {
            !(1...Limits.labelBytes).contains($0.name.utf8.count) || $0.value.utf8.count > Limits.labelBytes
        }
        if let bad { return "label '\(bad.name.prefix(63))': \(EnrolRefusal.badLabel.text)" }
        let bytes = labels.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 2 }
        if bytes > Limits.labelsBytes { return "labels: \(EnrolRefusal.badLabel.text)" }
        let isSorted = zip(labels, labels.dropFirst()).allSatisfy { $0.name < $1.name }
        return labels.count <= Limits.labels && isSorted ? nil : "labels: \(EnrolRefusal.badLabel.text)"
    }
}
