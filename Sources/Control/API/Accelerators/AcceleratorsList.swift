package import Base

/// The agent has its own accelerators, the controller those of all nodes.
package struct AcceleratorsList: ImmediateControllerVerb, AgentVerb {
    package init() {}

    package typealias Answer = [AcceleratorView]

    package static let verb = VerbDescription("accelerators.list", "All accelerators of all nodes", commands: ["gpu"])
    package static let route: HTTPRoute? = .get("/v1/accelerators")

    package var controllerRequest: ControllerRequest { .acceleratorsList }
    package var agentRequest: AgentRequest { .acceleratorsList }
    package static func reply(_ views: [AcceleratorView]) -> ControllerReply { .accelerators(views) }
    package static func reply(_ views: [AcceleratorView]) -> AgentReply { .accelerators(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [AcceleratorView] {
        controller.core.registry.entries.flatMap { entry in
            entry.accelerators.map {
                AcceleratorView(node: entry.record.node, nodeName: entry.name, accelerator: $0)
            }
        }
    }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let node = agent.nodeID, name = agent.core.name
        let views = agent.health.accelerators.map { AcceleratorView(node: node, nodeName: name, accelerator: $0) }
        out.reply(id, Self.reply(views))
    }
}
