import ArgumentParser
import Base
import Control
import Foundation

struct Join: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Makes this machine's agent a node of a fleet.",
        discussion: "The token comes from 'asterism token create' where the controller runs.")

    @OptionGroup var common: Common
    @Argument(help: "The token, ast1-…; without it, --token-file.") var token: String?
    @Option(help: ArgumentHelp("A file with the token; - is the standard input.", valueName: "path")) var tokenFile:
        String?
    @Option(help: "The node's name; otherwise what the agent was started with.") var name: String?

    func validate() throws {
        guard (token == nil) != (tokenFile == nil) else {
            throw ValidationError("give a token, or --token-file with one, and not both")
        }
    }

    func perform() throws {
        let text = try checkedToken()
        let link = try common.link(.agent)
        let request = AgentRequest.join(.init(token: text, name: name))
        // A handshake, an answer from the controller's disk, and a retry or two.
        let answer = try link.call(request, repeats: false, within: max(common.timeout, 30))
        try show(answer, as: StatusView.self) { view in
            "\((view.name ?? view.node.short).printable) is \(view.phase) of fleet \((view.fleet ?? "?").printable)\n"
        }
    }

    /// A slip of the hand is found before anybody is asked.
    private func checkedToken() throws -> String {
        let text: String
        if let token {
            text = token
        } else if let tokenFile {
            do {
                let handle =
                    tokenFile == "-"
                    ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(filePath: tokenFile))
                text = String(decoding: try handle.read(upToCount: 4096) ?? Data(), as: UTF8.self)
            } catch {
                throw Failure(.usage, "token-file: \(tokenFile): cannot be read")
            }
        } else {
            preconditionFailure("neither a token nor a file was given, and validate() let it pass")
        }
        do throws(TokenError) {
            return try TokenText(text).text
        } catch {
            throw Failure(.usage, "token: \(error)")
        }
    }
}
