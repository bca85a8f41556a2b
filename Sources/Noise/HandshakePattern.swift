/// The messages of a handshake with their tokens, as data in the notation of the Noise specification (revision 34,
/// sections 7 and 18).
package struct HandshakePattern: Hashable, Sendable {
    package enum Token: Hashable, Sendable {
        /// A public key is sent: the ephemeral one; the static one.
        case e, s
        /// A Diffie-Hellman of the initiator's key (first letter) with the responder's.
        case ee, es, se, ss
        /// A pre-shared key is mixed in.
        case psk
    }
    package struct Message: Hashable, Sendable {
        package var writer: Role
        package var tokens: [Token]
    }

    /// With its modifiers: `IKpsk2`.
    package let name: String
    /// The roles of which the other side knows the static keys beforehand, in the order in which they are hashed.
    package let knownStatics: [Role]
    package let messages: [Message]

    package static let ik = known("IK")
    package static let xx = known("XX")
    package static let nk = known("NK")

    /// One message, and only the initiator sends afterwards.
    package var isOneWay: Bool { messages.count == 1 }
    package var pskCount: Int { messages.reduce(0) { $0 + $1.tokens.count { $0 == .psk } } }

    /// Whether this side needs its own static key.
    package func needsStatic(_ role: Role) -> Bool {
        knownStatics.contains(role) || messages.contains { $0.writer == role && $0.tokens.contains(.s) }
    }

    /// The names of all base patterns: one-way, fundamental, deferred.
    package static var baseNames: [String] { table.map { String($0.prefix { $0 != ":" }) } }

    /// A base pattern's name and `psk` modifiers in ascending order, joined by `+`. `nil` for what is unknown.
    package init?(_ name: String) {
        let base = name.prefix { $0.isUppercase || $0.isNumber }
        let prefix = base + ": "
        guard let row = HandshakePattern.table.first(where: { $0.hasPrefix(prefix) }) else { return nil }
        var (known, messages) = HandshakePattern.parse(row.dropFirst(prefix.count))
        if base.count < name.count {
            var last = -1
            for modifier in name.dropFirst(base.count).split(separator: "+", omittingEmptySubsequences: false) {
                // One digit is enough: no pattern has ten messages.
                guard modifier.utf8.count == 4, modifier.hasPrefix("psk"), let place = Int(modifier.suffix(1)),
                    place > last, place <= messages.count
                else { return nil }
                last = place
                if place == 0 {
                    messages[0].tokens.insert(.psk, at: 0)
                } else {
                    messages[place - 1].tokens.append(.psk)
                }
            }
        }
        self.name = name
        knownStatics = known
        self.messages = messages
    }

    private static func known(_ name: String) -> HandshakePattern {
        // A name from the table below.
        HandshakePattern(name)!
    }

    private static func parse(_ row: Substring) -> (known: [Role], messages: [Message]) {
        var messages: [Message] = [], known: [Role] = []
        for word in row.split(separator: " ") {
            switch word {
            case "->": messages.append(Message(writer: .initiator, tokens: []))
            case "<-": messages.append(Message(writer: .responder, tokens: []))
            case "...":
                known = messages.map(\.writer)
                messages = []
            default: messages[messages.count - 1].tokens.append(token(word))
            }
        }
        return (known, messages)
    }

    private static func token(_ word: Substring) -> Token {
        switch word {
        case "e": return .e
        case "s": return .s
        case "ee": return .ee
        case "es": return .es
        case "se": return .se
        case "ss": return .ss
        default: preconditionFailure("\(word) in the table of handshake patterns")
        }
    }

    private static let table = [
        // One-way, section 7.4.
        "N: <- s ... -> e es",
        "K: -> s <- s ... -> e es ss",
        "X: <- s ... -> e es s ss",
        // Fundamental, section 7.5.
        "NN: -> e <- e ee",
        "NK: <- s ... -> e es <- e ee",
        "NX: -> e <- e ee s es",
        "XN: -> e <- e ee -> s se",
        "XK: <- s ... -> e es <- e ee -> s se",
        "XX: -> e <- e ee s es -> s se",
        "KN: -> s ... -> e <- e ee se",
        "KK: -> s <- s ... -> e es ss <- e ee se",
        "KX: -> s ... -> e <- e ee se s es",
        "IN: -> e s <- e ee se",
        "IK: <- s ... -> e es s ss <- e ee se",
        "IX: -> e s <- e ee se s es",
        // Deferred, section 18.1.
        "NK1: <- s ... -> e <- e ee es",
        "NX1: -> e <- e ee s -> es",
        "X1N: -> e <- e ee -> s <- se",
        "X1K: <- s ... -> e es <- e ee -> s <- se",
        "XK1: <- s ... -> e <- e ee es -> s se",
        "X1K1: <- s ... -> e <- e ee es -> s <- se",
        "X1X: -> e <- e ee s es -> s <- se",
        "XX1: -> e <- e ee s -> es s se",
        "X1X1: -> e <- e ee s -> es s <- se",
        "K1N: -> s ... -> e <- e ee -> se",
        "K1K: -> s <- s ... -> e es <- e ee -> se",
        "KK1: -> s <- s ... -> e <- e ee se es",
        "K1K1: -> s <- s ... -> e <- e ee es -> se",
        "K1X: -> s ... -> e <- e ee s es -> se",
        "KX1: -> s ... -> e <- e ee se s -> es",
        "K1X1: -> s ... -> e <- e ee s -> se es",
        "I1N: -> e s <- e ee -> se",
        "I1K: <- s ... -> e es s <- e ee -> se",
        "IK1: <- s ... -> e s <- e ee se es",
        "I1K1: <- s ... -> e s <- e ee es -> se",
        "I1X: -> e s <- e ee s es -> se",
        "IX1: -> e s <- e ee se s -> es",
        "I1X1: -> e s <- e ee s -> se es",
    ]
}
