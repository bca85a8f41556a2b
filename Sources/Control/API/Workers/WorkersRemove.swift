package import Base

package struct WorkersRemove: ImmediateControllerVerb {
    package var name: String
    package var operation: String?

    package init(name: String, operation: String? = nil) {
        self.name = name
        self.operation = operation
    }

    package typealias Answer = WorkerView

    package static let verb = VerbDescription(
        "workers.remove", "Removes a worker that has ended", commands: ["worker rm NAME"])
    package static let route: HTTPRoute? = .delete(
        "/v1/workers/{name}",
        query: [
            HTTPRoute.Query(
                "operation", .text, "Your name for this command; asked again under it, it is done once.")
        ])

    package var controllerRequest: ControllerRequest { .workersRemove(self) }
    package static func reply(_ view: WorkerView) -> ControllerReply { .worker(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> WorkerView {
        try controller.remove(self, now: now, into: &out)
    }
}
