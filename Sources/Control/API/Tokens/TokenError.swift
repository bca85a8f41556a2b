package import Base

/// Why a text is no token.
package enum TokenError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    case noPrefix
    /// Zero-based, in characters after the prefix.
    case badCharacter(at: Int)
    /// Its end is missing.
    case incomplete
    case badChecksum
    case unknownVersion(UInt8)
    case malformed(DecodeError)

    package var description: String {
        switch self {
        case .empty: "there is no token: the text is empty"
        case .noPrefix: "this is no token: a token begins with 'ast1-'"
        case .incomplete: "the token is incomplete: its end is missing"
        case .badCharacter(let place): "the token holds a character that no token has, at place \(place + 6)"
        case .badChecksum: "the token is incomplete or damaged: was it copied whole?"
        case .unknownVersion(let version): "the token is of version \(version); this program knows version 1"
        case .malformed(let error): "the token is damaged: \(error)"
        }
    }
}
