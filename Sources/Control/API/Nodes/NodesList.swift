package import Base

package struct NodesList: ImmediateControllerVerb {
    package init() {}

    package typealias Answer = [NodeView]

    package static let verb = VerbDescription("nodes.list", "All nodes", commands: ["nodes"])
    package static let route: HTTPRoute? = .get("/v1/nodes")

    package var controllerRequest: ControllerRequest { .nodesList }
    package static func reply(_ views: [NodeView]) -> ControllerReply { .nodes(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [NodeView] {
        controller.core.registry.entries.indices.map { controller.core.view($0, withHost: false, now: now) }
    }
}
