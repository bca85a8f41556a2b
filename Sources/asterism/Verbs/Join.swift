import ArgumentParser
import Base
import Control
import Foundation

struct Join: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Makes this machine's agent a node of a fleet.",
        discussion: """
            The token comes from 'asterism token create' where the controller runs. A member that cannot find its \
            controller any more learns the present address from a new token of the same fleet. It keeps its identity \
            and its workers.

            EXAMPLES
              asterism join --token-file -            (then paste the token)
              asterism join --token-file /root/token --name gpu-17
            """)

    @OptionGroup var common: Common
    @Argument(
        help: """
            The token, ast1-…. Other users of this machine can see it in the process list; use --token-file instead.
            """) var token: String?
    @Option(help: ArgumentHelp("A file that holds the token; - is the standard input.", valueName: "path"))
    var tokenFile: String?
    @Option(help: "The node's name; by default the name that the agent was started with.") var name: String?

    func validate() throws {
        guard (token == nil) != (tokenFile == nil) else {
            throw ValidationError("give either --token-file PATH (- is the standard input) or a token")
        }
    }

    func perform() throws {
        let text = try checkedToken()
        if token != nil {
            writeError("asterism: warning: other users can see the token in the process list; use --token-file -")
        }
        let link = try common.link(.agent)
        let request = JoinFleet(token: text, name: name)
        // A handshake, an answer from the controller's disk, and a retry or two.
        let answer = try link.call(request, repeats: false, within: max(common.timeout, 40))
        try show(answer) { view in
            let name = (view.name ?? view.node.short).printable, fleet = (view.fleet ?? "?").printable
            return "\(name) is \(view.phase.rawValue) of fleet \(fleet)\n"
        }
    }

    /// Reads to the end of the input. A token has less than a kilobyte.
    private static func contents(of handle: FileHandle, _ path: String) throws -> Data {
        var bytes = Data()
        while let piece = try handle.read(upToCount: 65_536), !piece.isEmpty {
            bytes.append(piece)
            guard bytes.count <= 65_536 else { throw Failure(.usage, "token-file: \(path): is too large for a token") }
        }
        return bytes
    }

    private static func reason(_ error: any Error) -> String {
        let code = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code ?? Int(errno)
        return String(cString: strerror(Int32(truncatingIfNeeded: code)))
    }

    /// Copying errors are found before a request is sent.
    private func checkedToken() throws -> String {
        let text: String
        if let token {
            text = token
        } else if let tokenFile {
            if tokenFile == "-", isatty(0) != 0 {
                writeError("paste the token, then press Enter and Ctrl-D:")
            }
            do {
                let handle =
                    tokenFile == "-"
                    ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(filePath: tokenFile))
                text = String(decoding: try Join.contents(of: handle, tokenFile), as: UTF8.self)
            } catch let failure as Failure {
                throw failure
            } catch {
                throw Failure(.usage, "token-file: \(tokenFile): \(Join.reason(error))")
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
