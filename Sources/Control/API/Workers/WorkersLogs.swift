package import Base
import Wire

package struct WorkersLogs: ControllerVerb {
    package var name: String
    /// Negative: that many bytes before the end. Without it, from the beginning.
    package private(set) var offset: Int64?
    package private(set) var limit: Int64?

    package init(name: String, offset: Int64? = nil, limit: Int64? = nil) {
        self.name = name
        self.offset = offset
        self.limit = limit
    }

    package typealias Answer = LogView

    package static let verb = VerbDescription(
        "workers.logs", "A piece of a worker's log; ask again from `nextOffset` for the next piece",
        commands: ["worker logs NAME"])
    package static let route: HTTPRoute? = .get(
        "/v1/workers/{name}/logs",
        query: [
            HTTPRoute.Query(
                "offset", .integer(minimum: nil), "The first byte; negative: that many before the end."),
            HTTPRoute.Query("limit", .integer(minimum: 1), "The most bytes to answer with."),
        ])

    package var controllerRequest: ControllerRequest { .workersLogs(self) }
    package static func reply(_ view: LogView) -> ControllerReply { .log(view) }

    package func apply(
        to controller: inout Controller, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let (slot, worker) = controller.desired.find(name, in: controller.core.registry) else {
            return out.refuse(id, .noWorker(name))
        }
        let limit = limit ?? Int64(Limits.logChunkBytes)
        guard (1...Int64(Limits.logChunkBytes)).contains(limit) else {
            let text = "limit: must be from 1 to \(Limits.logChunkBytes), not \(limit)"
            return out.refuse(id, APIError(.invalid, text, field: "limit"))
        }
        controller.questions.ask(
            .log(worker: name), slot, id, core: &controller.core, now: now, into: &out
        ) { number in
            .readLog(ReadLog(operation: number, worker: worker.worker.name, offset: offset ?? 0, limit: limit))
        }
    }
}
