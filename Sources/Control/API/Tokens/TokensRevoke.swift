package import Base

package struct TokensRevoke: ImmediateControllerVerb {
    /// 16 hexadecimal digits.
    package var id: String

    package init(id: String) { self.id = id }

    package typealias Answer = TokenView

    package static let verb = VerbDescription("tokens.revoke", "Revokes a token", commands: ["token revoke ID"])
    package static let route: HTTPRoute? = .delete("/v1/tokens/{id}")

    package var controllerRequest: ControllerRequest { .tokensRevoke(self) }
    package static func reply(_ view: TokenView) -> ControllerReply { .token(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> TokenView {
        var token = try controller.tokens.find(id)
        if !token.isRevoked {
            token.isRevoked = true
            controller.tokens.update(token)
            out.persist([.token(token), controller.core.record(.tokenRevoked, token.id.hex, now: now)])
        }
        return token.view()
    }
}
