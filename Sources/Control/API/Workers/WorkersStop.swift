package import Base

package struct WorkersStop: ImmediateControllerVerb {
    package var name: String
    package var operation: String?
    /// In place of the specification's.
    package private(set) var graceSeconds: Int64?

    package init(name: String, operation: String? = nil, graceSeconds: Int64? = nil) {
        self.name = name
        self.operation = operation
        self.graceSeconds = graceSeconds
    }

    package typealias Answer = WorkerView

    package static let verb = VerbDescription("workers.stop", "Stops a worker", commands: ["worker stop NAME"])
    package static let route: HTTPRoute? = .post(
        "/v1/workers/{name}/stop",
        // The name is in the path.
        body: .optional(.object("StopParameters", ["operation?": .text, "graceSeconds?": .integer])))

    package var controllerRequest: ControllerRequest { .workersStop(self) }
    package static func reply(_ view: WorkerView) -> ControllerReply { .worker(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> WorkerView {
        try controller.stop(self, now: now, into: &out)
    }
}
