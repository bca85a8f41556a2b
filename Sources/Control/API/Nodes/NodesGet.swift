package import Base

package struct NodesGet: ImmediateControllerVerb {
    /// A name, or a NodeID or the first digits of one.
    package var node: String

    package init(node: String) { self.node = node }

    package typealias Answer = NodeView

    package static let verb = VerbDescription(
        "nodes.get", "One node, by its name, its id or the first digits of its id",
        commands: ["node NAME", "nodes NAME"])
    package static let route: HTTPRoute? = .get("/v1/nodes/{node}")

    package var controllerRequest: ControllerRequest { .nodesGet(self) }
    package static func reply(_ view: NodeView) -> ControllerReply { .node(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> NodeView {
        guard let slot = controller.core.registry.find(node) else { throw .noNode(node) }
        return controller.core.view(slot, withHost: true, now: now)
    }
}
