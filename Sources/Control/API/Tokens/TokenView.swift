package import Base

package struct TokenView: Hashable, Sendable, Codable {
    /// 16 hexadecimal digits.
    package var id: String
    package var name: String?
    package let createdAt: UnixTime
    package let expiresAt: UnixTime
    package let uses: Int
    package var used: Int
    package var isRevoked: Bool
    /// Nodes that join with it are beacons.
    package var isForBeacons: Bool
    /// The token itself: shown once, when it is made.
    package var token: String?
}

extension TokenView: SchemaDescribed {
    package static let schema = Schema.object(
        "Token",
        [
            "id": .text, "name?": .text, "createdAt": .time, "expiresAt": .time, "uses": .count, "used": .count,
            "isForBeacons": .flag, "isRevoked": .flag, "token?": .text,
        ])
}
