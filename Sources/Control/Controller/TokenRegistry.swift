import Base
import Noise
import OrderedCollections
import Wire

/// The enrolment tokens of a fleet, in the order in which they were made.
struct TokenRegistry {
    private var tokens = OrderedDictionary<[UInt8], TokenRecord>()

    /// Tokens that may exist at once; those that can admit no more nodes are forgotten first.
    static let limit = 10_000

    init(_ records: [TokenRecord]) {
        for record in records { tokens[record.id] = record }
    }

    var all: [TokenRecord] { Array(tokens.values) }
    subscript(id: [UInt8]) -> TokenRecord? { tokens[id] }

    /// The token whose id people write as 16 hexadecimal digits.
    func find(_ id: String) throws(APIError) -> TokenRecord {
        guard let bytes = [UInt8](hex: id), bytes.count == TokenText.idCount else {
            throw APIError(.invalid, "id: a token's id is 16 hexadecimal digits", field: "id")
        }
        guard let token = tokens[bytes] else { throw APIError(.notFound, "there is no token \(id)") }
        return token
    }

    /// False if there are too many.
    mutating func add(_ record: TokenRecord, wall: UnixTime) -> Bool {
        if tokens.count >= TokenRegistry.limit { tokens.removeAll { !$0.value.isUsable(wall) } }
        guard tokens.count < TokenRegistry.limit else { return false }
        tokens[record.id] = record
        return true
    }

    mutating func update(_ record: TokenRecord) { tokens[record.id] = record }

    /// A node has come in with the token. Returns what is to be stored of it.
    mutating func use(_ id: [UInt8]) -> TokenRecord? {
        tokens[id]?.used += 1
        return tokens[id]
    }

    /// Returns why the proof is refused, if it is. A node that joined with this token before may join again.
    func judge(_ enrol: Enrol, handshakeHash: [UInt8], isReturning: Bool, wall: UnixTime) -> EnrolRefusal? {
        guard let token = tokens[enrol.tokenID] else { return .unknownToken }
        let expected = TokenText.proof(secret: token.secret, handshakeHash: handshakeHash)
        guard constantTimeEqual(expected, enrol.proof) else { return .wrongProof }
        // Only a node that has the secret gets a reason other than a wrong proof.
        if token.isRevoked { return .unknownToken }
        if wall >= token.expiresAt { return .expired }
        if token.used >= token.uses, !isReturning { return .usedUp }
        return nil
    }
}

extension TokenRecord {
    func isUsable(_ wall: UnixTime) -> Bool { !isRevoked && wall < expiresAt && used < uses }

    /// `token`: the text, which is shown only once.
    func view(token: String? = nil) -> TokenView {
        TokenView(
            id: id.hex, name: name, createdAt: createdAt, expiresAt: expiresAt, uses: uses, used: used,
            isRevoked: isRevoked, isForBeacons: isForBeacons, token: token)
    }
}

extension EnrolRefusal {
    /// The text for the person at the other end.
    var text: String {
        switch self {
        case .unknownToken: "the controller does not know this token"
        case .wrongProof: "the token's secret is not the right one"
        case .expired: "the token has expired"
        case .usedUp: "the token has been used as often as it may be"
        case .nameTaken: "another node of the fleet has this name"
        case .badLabel:
            """
            at most \(Limits.labels), each name once; a name and a value have at most \(Limits.labelBytes) bytes, all \
            together \(Limits.labelsBytes)
            """
        case .badName: "this is not a name: letters, digits, '-', '_' and '.', at most 63, the first a letter or digit"
        }
    }
}
