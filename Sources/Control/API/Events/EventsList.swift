package import Base

package struct EventsList: ImmediateControllerVerb {
    /// Only events with a higher id.
    package private(set) var after: UInt64?
    /// At most so many, up to 1000; without it, 100.
    package private(set) var limit: Int64?

    package init(after: UInt64? = nil, limit: Int64? = nil) {
        self.after = after
        self.limit = limit
    }

    package typealias Answer = [EventView]

    package static let verb = VerbDescription(
        "events.list", "Events of the fleet; ask again after the last `id` for newer ones", commands: ["events"])
    package static let route: HTTPRoute? = .get(
        "/v1/events",
        query: [
            HTTPRoute.Query("after", .integer(minimum: 0), "Only events with a higher id."),
            HTTPRoute.Query("limit", .integer(minimum: 1), "The most events to answer with."),
        ])

    package var controllerRequest: ControllerRequest { .eventsList(self) }
    package static func reply(_ views: [EventView]) -> ControllerReply { .events(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [EventView] {
        let limit = limit ?? 100
        guard (1...1000).contains(limit) else {
            throw APIError(.invalid, "limit: must be from 1 to 1000, not \(limit)", field: "limit")
        }
        return controller.core.events.list(after: after, limit: Int(limit))
    }
}
