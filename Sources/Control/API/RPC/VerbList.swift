/// A program's verbs, as JSON-RPC knows them.
package protocol VerbList {
    /// The verbs' methods, in the order of the documents.
    static var methodNames: [String] { get }
}
