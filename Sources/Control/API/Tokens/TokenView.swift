package import Base

package struct TokenView: Hashable, Sendable, Codable {
    /// 16 hexadecimal digits.
    package let id: String
    package let name: String?
    package let createdAt: UnixTime
    package let expiresAt: UnixTime
    package let uses: Int
    package let used: Int
    package let isRevoked: Bool
    /// Nodes that join with it are beacons.
    package let isForBeacons: Bool
    /// The token itself: shown once, when it is made.
    package let token: String?
}

extension TokenView: SchemaDescribed {
    package static let schema = Schema.object(
        "Token",
        [
            "id": .text, "name?": .text, "createdAt": .time, "expiresAt": .time, "uses": .count, "used": .count,
            "isForBeacons": .flag, "isRevoked": .flag, "token?": .text,
        ])
}
