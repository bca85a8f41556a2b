import Control
import Foundation

/// A program's description of its command line: the part of ArgumentParser's `--experimental-dump-help` that
/// documentation needs (ArgumentParserToolInfo, serialization version 0).
struct ToolInfo: Decodable {
    var serializationVersion: Int
    var command: Command

    struct Command: Decodable {
        var commandName: String
        var abstract: String?
        var discussion: String?
        var shouldDisplay: Bool?
        var subcommands: [Command]?
        var arguments: [Argument]?

        var isShown: Bool { shouldDisplay ?? true }
        /// The verbs that people use; `help` only repeats this.
        var verbs: [Command] { (subcommands ?? []).filter { $0.isShown && $0.commandName != "help" } }
        var shownArguments: [Argument] { (arguments ?? []).filter(\.shouldDisplay) }
    }

    struct Argument: Decodable, Hashable {
        enum Kind: String, Decodable {
            case positional, option, flag
        }
        struct Name: Decodable, Hashable {
            var kind: String
            var name: String
            /// As on the command line.
            var text: String { (kind == "long" ? "--" : "-") + name }
        }
        var kind: Kind
        var shouldDisplay: Bool
        var isOptional: Bool
        var isRepeating: Bool
        var names: [Name]?
        var valueName: String?
        var defaultValue: String?
        var abstract: String?
        var discussion: String?

        /// The long name without dashes.
        var longName: String? { names?.first { $0.kind == "long" }?.name }
    }

    /// Runs the program at `path`.
    static func of(_ path: String) throws(Failure) -> ToolInfo {
        let text = try Subprocess.output([path, "--experimental-dump-help"])
        guard let info = try? JSONDecoder().decode(ToolInfo.self, from: Data(text.utf8)) else {
            throw Failure(.refused, "\(path): its description of itself is not the expected JSON")
        }
        guard info.serializationVersion == 0 else {
            throw Failure(.refused, "\(path): its description has version \(info.serializationVersion), not 0")
        }
        return info
    }
}

extension ToolInfo.Command {
    /// The discussion without its table of exit statuses, and that table.
    var sections: (text: String, exitStatuses: [(status: String, meaning: String)]) {
        let text = discussion ?? ""
        guard let heading = text.range(of: "Exit status:") else { return (text, []) }
        var table: [(status: String, meaning: String)] = []
        var rest: [Substring] = []
        for line in text[heading.upperBound...].split(separator: "\n", omittingEmptySubsequences: false).dropFirst() {
            let words = line.split(separator: " ", maxSplits: 1)
            if rest.isEmpty, line.hasPrefix("  "), words.count == 2, words[0].allSatisfy(\.isNumber) {
                table.append((String(words[0]), words[1].trimmingCharacters(in: .whitespaces)))
            } else {
                rest.append(line)
            }
        }
        let around = text[..<heading.lowerBound] + rest.joined(separator: "\n")
        return (around.trimmingCharacters(in: .whitespacesAndNewlines), table)
    }
}
