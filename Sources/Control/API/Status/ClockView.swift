package import Base

package struct ClockView: Hashable, Sendable, Codable {
    package let own: UnixTime
    package private(set) var controller: UnixTime
    /// By more than a minute.
    package let differs: Bool
}

extension ClockView: SchemaDescribed {
    package static let schema = Schema.object(
        "Clock",
        ["own": .time, "controller": .time, "differs": .flag])
}
