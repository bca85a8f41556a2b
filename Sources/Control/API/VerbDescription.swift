/// The names of a verb.
package struct VerbDescription: Hashable, Sendable {
    /// JSON-RPC's.
    package let method: String
    /// What it does or answers with, in one line.
    package let summary: String
    /// The commands of `asterism` that send it, without the program's name.
    package let commands: [String]

    package init(_ method: String, _ summary: String, commands: [String] = []) {
        self.method = method
        self.summary = summary
        self.commands = commands
    }
}
