package import Base

/// Makes and checks challenges; one for each relay.
package struct BindChallenger: ~Copyable, Sendable {
    package static let challengeCount = Cookie.macCount
    /// How long one secret is used for challenges; they are valid for the same time after that.
    package static let lifetime = Interval.seconds(120)

    private var secret: SecretBytes
    private var previous: SecretBytes
    private var born: Instant

    package init(using generator: inout KeyGenerator, now: Instant) {
        secret = generator.secretBytes(32)
        previous = generator.secretBytes(32)
        born = now
    }

    /// To be called before the others, with the present time.
    package mutating func renew(using generator: inout KeyGenerator, now: Instant) {
        guard now - born >= BindChallenger.lifetime else { return }
        // After a long silence the last secret is too old as well.
        previous = now - born >= BindChallenger.lifetime * 2 ? generator.secretBytes(32) : secret.copy()
        secret = generator.secretBytes(32)
        born = now
    }

    /// `allocations`: those that a relay between names, in a fixed order; none where there is no relay between.
    package func challenge(allocation: UInt32, at address: SocketAddress, allocations: [UInt32] = []) -> [UInt8] {
        BindChallenger.make(secret, allocation, address, allocations)
    }

    package func knows(_ challenge: [UInt8], allocation: UInt32, at address: SocketAddress, allocations: [UInt32] = [])
        -> Bool
    {
        constantTimeEqual(challenge, BindChallenger.make(secret, allocation, address, allocations))
            || constantTimeEqual(challenge, BindChallenger.make(previous, allocation, address, allocations))
    }

    private static func make(
        _ secret: borrowing SecretBytes, _ allocation: UInt32, _ address: SocketAddress, _ allocations: [UInt32]
    ) -> [UInt8] {
        var writer = ByteWriter()
        writer.uint32(allocation)
        writer.append(address.unmistakable)
        for between in allocations { writer.uint32(between) }
        return Cookie.mac(writer.bytes.span.bytes, key: secret).bytes()
    }
}
