import Control
import Testing

@Suite struct TokensGetTests {
    private func view(_ reply: Result<ControllerReply, APIError>?) throws -> TokenView {
        guard case .token(let view) = try #require(reply).get() else { throw APIError(.refused, "no token") }
        return view
    }

    @Test func `a token is shown without its secret`() throws {
        let pair = TestPair()
        let made = try view(pair.ask(.tokensCreate(TokensCreate(uses: 2, name: "spring"))))
        #expect(made.token != nil)
        for id in [made.id, made.id.uppercased()] {
            let shown = try view(pair.ask(.tokensGet(TokensGet(id: id))))
            #expect(shown.token == nil)
            #expect((shown.id, shown.name, shown.uses) == (made.id, made.name, made.uses))
            #expect((shown.createdAt, shown.expiresAt, shown.used) == (made.createdAt, made.expiresAt, made.used))
        }
    }

    @Test func `what is no token of the fleet is refused`() {
        let cases: [(id: String, code: APIError.Code, field: String?)] = [
            ("0011223344556677", .notFound, nil), ("0011", .invalid, "id"), ("no hexadecimal digits", .invalid, "id"),
        ]
        for (id, code, field) in cases {
            guard case .failure(let error)? = TestPair().ask(.tokensGet(TokensGet(id: id))) else {
                Issue.record("\(id) is not refused")
                continue
            }
            #expect(error.code == code && error.field == field)
        }
    }
}
