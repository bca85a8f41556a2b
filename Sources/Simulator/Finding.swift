package import Base

/// What a checker found.
package struct Finding: Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// Something happened that must never happen.
        case correctness
        /// Something that must happen in the end did not happen.
        case liveness
    }
    package var checker: String
    package var kind: Kind
    package var at: Instant
    package var text: String

    package var description: String { "\(kind.rawValue) (\(checker)) at \(at): \(text)" }
}
