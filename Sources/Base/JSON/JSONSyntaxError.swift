/// The place at which a document is not JSON, with the reason.
package struct JSONSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The text ends too early.
        case truncated
        /// The text does not follow RFC 8259.
        case malformed
        /// Deeper, longer or more than `JSONReader.Limits` allow.
        case tooLarge
        case duplicateKey
    }
    package var reason: Reason
    package var message: String
    /// The path in the document, `devices[3].powerWatts`; empty at the top.
    package var path: String
    /// Bytes before the mistake.
    package var offset: Int
    /// From 1.
    package var line: Int
    /// From 1, in bytes.
    package var column: Int

    package var description: String {
        let what = reason == .duplicateKey ? "duplicate key " : ""
        return "line \(line), column \(column): \(what)\(message)"
    }
}
