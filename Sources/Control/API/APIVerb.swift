/// # Verbs
///
/// A verb is one request that a program answers. Its file holds everything about it. The parameters are the value itself.
/// The file also has the type of the answer, one line for people, and the names for JSON-RPC, HTTP and the command line.
/// It does the work: it checks the parameters and calls the features.
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
