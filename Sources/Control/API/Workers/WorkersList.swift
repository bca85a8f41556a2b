package import Base

package struct WorkersList: ImmediateControllerVerb {
    /// A name or NodeID; without it, all nodes.
    package var node: String?

    package init(node: String? = nil) { self.node = node }

    package typealias Answer = [WorkerView]

    package static let verb = VerbDescription("workers.list", "All workers, or one node's", commands: ["worker ps"])
    package static let route: HTTPRoute? = .get(
        "/v1/workers", query: [HTTPRoute.Query("node", .text, "A node's name or id.")])

    package var controllerRequest: ControllerRequest { .workersList(self) }
    package static func reply(_ views: [WorkerView]) -> ControllerReply { .workers(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [WorkerView] {
        guard let node else {
            return controller.core.registry.entries.flatMap { $0.workerViews() }.sorted { $0.name < $1.name }
        }
        guard let slot = controller.core.registry.find(node) else { throw .noNode(node) }
        return controller.core.registry[slot].workerViews()
    }
}
