package import Base

package struct TokensList: ImmediateControllerVerb {
    package init() {}

    package typealias Answer = [TokenView]

    package static let verb = VerbDescription("tokens.list", "All tokens", commands: ["token list"])
    package static let route: HTTPRoute? = .get("/v1/tokens")

    package var controllerRequest: ControllerRequest { .tokensList }
    package static func reply(_ views: [TokenView]) -> ControllerReply { .tokens(views) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> [TokenView] {
        controller.tokens.all.map { $0.view() }
    }
}
