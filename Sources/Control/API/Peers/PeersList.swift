package import Base
import Mesh

/// The mesh sessions of the program that is asked.
package struct PeersList: ImmediateControllerVerb, AgentVerb {
    package init() {}

    package typealias Answer = [PeerView]

    package static let verb = VerbDescription("peers.list", "The program's mesh sessions", commands: ["peers", "top"])
    package static let route: HTTPRoute? = .get("/v1/peers", summary: "The controller's mesh sessions")

    package var controllerRequest: ControllerRequest { .peersList }
    package var agentRequest: AgentRequest { .peersList }
    package static func reply(_ views: [PeerView]) -> ControllerReply { .peers(views) }
    package static func reply(_ views: [PeerView]) -> AgentReply { .peers(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [PeerView] {
        controller.core.endpoint.value.summaries(now: now).map {
            PeerView(of: $0, controller.core.endpoint.value.certificate(of: $0.node))
        }
    }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let views = agent.core.endpoint.value.summaries(now: now).map {
            PeerView(
                of: $0, agent.core.endpoint.value.certificate(of: $0.node),
                relay: $0.path.flatMap { agent.core.relayName(of: $0) })
        }
        out.reply(id, Self.reply(views))
    }
}
