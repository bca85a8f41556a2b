package import Base
package import Wire

package struct WorkersRun: ControllerVerb {
    /// Without it, the program's name and some digits.
    package var name: String?
    /// A name or NodeID; without it, the least loaded node.
    package var node: String?
    package let spec: WorkerSpec
    /// The caller's name for this command; a command repeated under the same name is done once and gets the same
    /// answer.
    package var operation: String?

    package init(name: String? = nil, node: String? = nil, spec: WorkerSpec, operation: String? = nil) {
        self.name = name
        self.node = node
        self.spec = spec
        self.operation = operation
    }

    package typealias Answer = WorkerView

    package static let verb = VerbDescription("workers.run", "Runs a worker", commands: ["worker run"])
    package static let route: HTTPRoute? = .post("/v1/workers", body: .required(schema), status: 201)
    package static let schema = Schema.object(
        "RunParameters", ["name?": .text, "node?": .text, "spec": .of(WorkerSpec.self), "operation?": .text])

    package var controllerRequest: ControllerRequest { .workersRun(self) }
    package static func reply(_ view: WorkerView) -> ControllerReply { .worker(view) }

    package func apply(
        to controller: inout Controller, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        controller.run(self, id, now: now, into: &out)
    }
}
