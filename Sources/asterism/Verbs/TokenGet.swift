import ArgumentParser
import Base
import Control

struct TokenGet: Verb {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows one token, without its secret.",
        discussion: """
            Example:
              asterism token get 00112233445566ff
            """)

    @OptionGroup var common: Common
    @Argument(help: "The token's id, 16 hexadecimal digits, as 'asterism token list' shows it.") var id: String

    func perform() throws {
        let answer = try common.link(.controller).call(TokensGet(id: id))
        try show(answer) { TokenGet.details($0, wallClock()).render(terminal) }
    }

    static func details(_ token: TokenView, _ now: UnixTime) -> Details {
        let state = token.state(now)
        var details = Details()
        details.add("token", token.id, .heading)
        details.add("name", token.name)
        details.add("state", state.text, state.style)
        details.add("used", "\(token.used) of \(token.uses)")
        details.add("for", token.isForBeacons ? "beacons" : "nodes")
        details.add("created", "\(token.createdAt) (\(Units.age(now - token.createdAt)) ago)")
        details.add("expires", token.expiresAt.description)
        return details
    }
}
