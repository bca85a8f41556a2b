package import Base

package struct WorkersGet: ImmediateControllerVerb {
    package var name: String

    package init(name: String) { self.name = name }

    package typealias Answer = WorkerView

    package static let verb = VerbDescription("workers.get", "One worker")
    package static let route: HTTPRoute? = .get("/v1/workers/{name}")

    package var controllerRequest: ControllerRequest { .workersGet(self) }
    package static func reply(_ view: WorkerView) -> ControllerReply { .worker(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> WorkerView {
        guard let view = controller.desired.view(name, in: controller.core.registry) else { throw .noWorker(name) }
        return view
    }
}
