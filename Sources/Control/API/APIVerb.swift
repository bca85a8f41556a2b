/// # Verbs
///
/// A verb is one thing that a program can be asked. Its file holds all that there is to know of it: the parameters, which
/// are the value itself, the type of the answer, the names under which JSON-RPC, HTTP and the command line know it, one
/// line for people, and the work: the checks of its parameters, and what features do for it.
///
/// `ControllerRequest` and `AgentRequest` list the verbs of the two programs. The methods of JSON-RPC, the routes of HTTP,
/// the OpenAPI document and the table in `API.md` are derived from those lists and from the verbs.
///
/// A new verb needs its file, an entry in the program's list, a command in `asterism`, and that command's entry in the
/// list of commands.
package protocol APIVerb: JSONRPCMessage, Hashable, Codable {
    /// The view that the verb is answered with, as JSON shows it.
    associatedtype Answer: Codable & Hashable & Sendable

    static var verb: VerbDescription { get }
}

extension APIVerb {
    package var methodName: String { Self.verb.method }
    package func encodeParameters(to encoder: any Encoder) throws { try encode(to: encoder) }

    /// The answer's type for documents: `NodeView`, `[NodeView]`.
    package static var answerName: String {
        let name = "\(Answer.self)", prefix = "Array<"
        return name.hasPrefix(prefix) ? "[\(name.dropFirst(prefix.count).dropLast())]" : name
    }
}
