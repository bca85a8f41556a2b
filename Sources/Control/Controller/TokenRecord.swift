package import Base

/// An enrolment token.
package struct TokenRecord: Hashable, Sendable {
    /// 8 bytes.
    package var id: [UInt8]
    /// 32 bytes. Not a hash of it: the proof is keyed with it.
    package let secret: [UInt8]
    package var name: String?
    package let createdAt: UnixTime
    package let expiresAt: UnixTime
    package let uses: Int
    package var used: Int
    package var isRevoked: Bool
    /// Nodes that join with it are beacons: they may relay datagrams for others.
    package var isForBeacons: Bool

    package init(
        id: [UInt8], secret: [UInt8], name: String?, createdAt: UnixTime, expiresAt: UnixTime, uses: Int,
        used: Int = 0, isRevoked: Bool = false, isForBeacons: Bool = false
    ) {
        self.id = id
        self.secret = secret
        self.name = name
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.uses = uses
        self.used = used
        self.isRevoked = isRevoked
        self.isForBeacons = isForBeacons
    }
}
