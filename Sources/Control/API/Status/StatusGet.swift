package import Base

/// Both programs have it.
package struct StatusGet: ImmediateControllerVerb, AgentVerb {
    package init() {}

    package typealias Answer = StatusView

    package static let verb = VerbDescription("status", "The state of the program", commands: ["status"])
    package static let route: HTTPRoute? = .get("/v1/status", summary: "The state of the controller")

    package var controllerRequest: ControllerRequest { .status }
    package var agentRequest: AgentRequest { .status }
    package static func reply(_ view: StatusView) -> ControllerReply { .status(view) }
    package static func reply(_ view: StatusView) -> AgentReply { .status(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> StatusView {
        controller.status(now: now)
    }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        out.reply(id, Self.reply(agent.status(now: now)))
    }
}
