package import Base

package struct TokensGet: ImmediateControllerVerb {
    /// 16 hexadecimal digits.
    package var id: String

    package init(id: String) { self.id = id }

    package typealias Answer = TokenView

    package static let verb = VerbDescription(
        "tokens.get", "One token, without its secret", commands: ["token get ID"])
    package static let route: HTTPRoute? = .get("/v1/tokens/{id}")

    package var controllerRequest: ControllerRequest { .tokensGet(self) }
    package static func reply(_ view: TokenView) -> ControllerReply { .token(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> TokenView {
        try controller.tokens.find(id).view()
    }
}
