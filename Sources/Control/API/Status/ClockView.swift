package import Base

package struct ClockView: Hashable, Sendable, Codable {
    package var own: UnixTime
    package var controller: UnixTime
    /// By more than a minute.
    package var differs: Bool
}

extension ClockView: SchemaDescribed {
    package static let schema = Schema.object(
        "Clock",
        ["own": .time, "controller": .time, "differs": .flag])
}
