import ArgumentParser
import Base
import Control
import Foundation

struct Token: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes, shows and revokes enrolment tokens.",
        discussion: "Each of them takes --json.",
        subcommands: [TokenCreate.self, TokenList.self, TokenGet.self, TokenRevoke.self])
}

struct TokenCreate: Verb {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a token that lets new nodes join.",
        discussion: "Only the token is written to the standard output. It is not shown again.")

    @OptionGroup var common: Common
    @Option(help: ArgumentHelp("How long it is valid: 90s, 10m, 1h, 7d.", valueName: "time")) var ttl: String = "1h"
    @Option(help: "How many nodes may join with it.") var uses: Int64 = 1
    @Option(help: "A name for the token, as 'asterism token list' shows it.") var name: String?
    @Flag(help: "Nodes that join with it become beacons: they relay datagrams for other nodes.") var beacon = false

    func perform() throws {
        let seconds: Int64
        do throws(Units.Problem) { seconds = try Units.seconds(ttl) } catch {
            throw Failure(.usage, "ttl: \(error.message)")
        }
        guard seconds > 0 else { throw Failure(.usage, "ttl: must be above 0, not \(ttl)") }
        guard uses > 0 else { throw Failure(.usage, "uses: must be at least 1, not \(uses)") }
        let link = try common.link(.controller)
        // A repeated request would make a second token.
        let request = TokensCreate(ttlSeconds: seconds, uses: uses, name: name, isForBeacons: beacon ? true : nil)
        let answer = try link.call(request, repeats: false)
        try show(answer) { ($0.token ?? "") + "\n" }
        guard !common.json else { return }
        let view = try answer.view()
        writeError("token \(view.id): \(view.uses) use\(view.uses == 1 ? "" : "s"), until \(view.expiresAt)")
        writeError("on the new node, as root: asterism join --token-file -   (it reads the token from its input)")
    }
}

struct TokenList: Verb {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists tokens, without their secrets.")

    @OptionGroup var common: Common

    func perform() throws {
        let link = try common.link(.controller)
        let answer = try link.call(TokensList())
        try show(answer) { tokens in
            tokens.isEmpty ? "no tokens\n" : TokenList.table(tokens, wallClock()).render(terminal)
        }
    }

    static func table(_ tokens: [TokenView], _ now: UnixTime) -> Table {
        var table = Table([
            .init("ID"), .init("NAME", least: 6, importance: 1), .init("STATE"), .init("USED", right: true),
            .init("CREATED", right: true, importance: 0), .init("EXPIRES", right: true, importance: 2),
        ])
        for token in tokens {
            let state = token.state(now)
            table.add([
                .init(token.id), .init(token.name), .init(state.text, state.style),
                .init("\(token.used)/\(token.uses)"),
                .init("\(Units.age(now - token.createdAt)) ago"),
                .init(token.expiresAt <= now ? nil : "in \(Units.age(token.expiresAt - now))"),
            ])
        }
        return table
    }
}

extension TokenView {
    func state(_ now: UnixTime) -> (text: String, style: Terminal.Style) {
        if isRevoked { return ("revoked", .bad) }
        if expiresAt <= now { return ("expired", .faint) }
        return used >= uses ? ("used up", .faint) : ("valid", .good)
    }
}

struct TokenRevoke: Verb {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revokes a token. Nodes that joined with it stay members.")

    @OptionGroup var common: Common
    @Argument(help: "The token's id, 16 hexadecimal digits.") var id: String

    func perform() throws {
        guard let bytes = [UInt8](hex: id), bytes.count == TokenText.idCount else {
            throw Failure(.usage, "id: '\(id)' is not 16 hexadecimal digits, as 'asterism token list' shows them")
        }
        let link = try common.link(.controller)
        let answer = try link.call(TokensRevoke(id: id.lowercased()))
        try show(answer) { "token \($0.id) is revoked\n" }
    }
}
