package import Base

/// # The handshake
///
/// Two nodes that know (or learn) each other's static X25519 keys agree on fresh keys, as the Noise Protocol Framework
/// specifies (revision 34, https://noiseprotocol.org/noise.html). Names here are the specification's:
///
///     ProtocolName ── names ──► HandshakePattern (tokens, as data) + CipherSuite
///     HandshakeState           keys s, e, rs, re; walks the tokens, one message at a time     section 5.3
///       └─ SymmetricState      ck and h: every secret is mixed into one, every byte into the other      5.2
///            └─ CipherState    a key and a nonce                                                        5.1
///     split() ──► CipherStates, of which a session makes TransportKeys
///
/// The mesh uses IK: `-> e es s ss`, `<- e ee se`. The initiator knows the responder's key beforehand and sends its own
/// in the first message, encrypted. After that message the responder knows `remoteStatic` and the payload, both
/// authenticated by the static keys, and may decide whether to answer. But a recorded first message can be replayed, so
/// it must not change any state. Only the first transport message proves that the initiator is there.
///
/// A failed message leaves the state unchanged: forged answers of an off-path attacker cannot end a handshake. An error of an
/// unauthenticated peer is a `HandshakeError`. A call out of turn, or without a key that the pattern needs, is a bug and stops
/// the process.
///
/// Nothing is random here. The caller draws the one ephemeral key that a side needs, from its `KeyGenerator`, or takes
/// it from a test vector.
package struct HandshakeState: ~Copyable, Sendable {
    /// Section 3: no message is longer, in bytes.
    package static let maximumMessageCount = 65535

    package let name: ProtocolName
    package let role: Role
    private var symmetric: SymmetricState
    /// `s` and `e`.
    private let localStatic: SecretKey?
    private let localEphemeral: SecretKey
    /// `rs`: set from the start, or as soon as a message has brought it.
    package private(set) var remoteStatic: NodeID?
    /// `re`.
    package private(set) var remoteEphemeral: NodeID?
    /// One after the other, 32 bytes each.
    private let psks: SecretBytes
    private var psksUsed = 0
    private var messagesDone = 0

    /// Initialize() of section 5.3. A static key is needed where the pattern requires one, and ignored elsewhere; `psks`
    /// are 32 bytes each, in the order of use. The cipher must be available.
    package init(
        _ name: ProtocolName, _ role: Role, prologue: [UInt8] = [], localStatic: consuming SecretKey? = nil,
        ephemeral: consuming SecretKey, remoteStatic: NodeID? = nil, psks: [[UInt8]] = []
    ) {
        let pattern = name.pattern
        precondition(name.suite.cipher.isAvailable, "\(name.suite.cipher.name) is not available on this processor")
        precondition(psks.allSatisfy { $0.count == 32 }, "a pre-shared key has 32 bytes")
        precondition(psks.count >= pattern.pskCount, "\(name) needs \(pattern.pskCount) pre-shared keys")
        self.name = name
        self.role = role
        self.remoteStatic = pattern.knownStatics.contains(role.other) ? remoteStatic : nil
        self.psks = SecretBytes(psks.flatMap { $0 })
        symmetric = SymmetricState(name)
        symmetric.mixHash(prologue)
        var localPublic: NodeID?
        switch localStatic {
        case .some(let key): localPublic = key.publicKey
        case .none: precondition(!pattern.needsStatic(role), "\(name): the \(role) needs a static key")
        }
        for owner in pattern.knownStatics {
            guard let key = owner == role ? localPublic : remoteStatic else {
                preconditionFailure("\(name): the \(role) must know the \(owner)'s static key")
            }
            symmetric.mixHash(key.bytes)
        }
        self.localStatic = localStatic
        localEphemeral = ephemeral
    }

    /// Whether all messages of the pattern are done.
    package var isFinished: Bool { messagesDone == name.pattern.messages.count }
    /// Whether this side writes the next message.
    package var isOurTurn: Bool { !isFinished && name.pattern.messages[messagesDone].writer == role }
    /// Binds what follows to this handshake (section 11.2) once it is finished.
    package var handshakeHash: [UInt8] { symmetric.handshakeHash }

    /// The next message. It must be our turn. Throws `tooLong`, or `lowOrderPoint` for an invalid remote key.
    package mutating func writeMessage(payload: [UInt8] = []) throws(HandshakeError) -> [UInt8] {
        precondition(isOurTurn, "\(name): message \(messagesDone) is not the \(role)'s to write")
        let saved = checkpoint()
        do throws(HandshakeError) {
            return try write(payload)
        } catch {
            restore(saved)
            throw error
        }
    }

    /// The payload of the other side's next message. It must be their turn. An error leaves the state unchanged.
    package mutating func readMessage(_ message: [UInt8]) throws(HandshakeError) -> [UInt8] {
        precondition(!isFinished && !isOurTurn, "\(name): message \(messagesDone) is not the \(role)'s to read")
        let saved = checkpoint()
        do throws(HandshakeError) {
            return try read(message)
        } catch {
            restore(saved)
            throw error
        }
    }

    /// The transport keys of a finished handshake. In a one-way pattern only the initiator may send.
    package consuming func split() -> CipherStates {
        let cipher = name.suite.cipher
        return split(for: cipher)
    }

    /// The transport keys, for a cipher other than the handshake's, which both sides named in the payloads.
    package consuming func split(for cipher: Cipher) -> CipherStates {
        precondition(isFinished, "\(name): split after \(messagesDone) messages")
        return symmetric.split(role, cipher: cipher)
    }
}

extension HandshakeState {
    /// Two more transport keys, for a second channel with its own counters. They are HKDF of the final chaining key and
    /// `label` in place of Split()'s empty input, after the draft of Noise's additional symmetric keys. Call this before
    /// `split`.
    package func additionalKeys(_ label: String, for cipher: Cipher) -> CipherStates {
        precondition(isFinished, "\(name): keys after \(messagesDone) messages")
        return symmetric.split(role, cipher: cipher, input: SecretBytes(Array(label.utf8)))
    }

    private mutating func write(_ payload: [UInt8]) throws(HandshakeError) -> [UInt8] {
        var message: [UInt8] = []
        for token in name.pattern.messages[messagesDone].tokens {
            switch token {
            case .e:
                let key = localEphemeral.publicKey.bytes
                message += key
                mixEphemeral(key)
            case .s: message += try symmetric.encryptAndHash(staticPublicKey)
            case .ee, .es, .se, .ss: try mixAgreement(token)
            case .psk: mixNextPSK()
            }
        }
        message += try symmetric.encryptAndHash(payload)
        guard message.count <= HandshakeState.maximumMessageCount else { throw .tooLong }
        messagesDone += 1
        return message
    }

    private mutating func read(_ message: [UInt8]) throws(HandshakeError) -> [UInt8] {
        guard message.count <= HandshakeState.maximumMessageCount else { throw .tooLong }
        var rest = message[...]
        for token in name.pattern.messages[messagesDone].tokens {
            switch token {
            case .e:
                let key = try HandshakeState.take(32, from: &rest)
                remoteEphemeral = NodeID(key)
                mixEphemeral(key)
            case .s:
                let count = 32 + (symmetric.hasKey ? Cipher.tagCount : 0)
                remoteStatic = NodeID(try symmetric.decryptAndHash(HandshakeState.take(count, from: &rest)))
            case .ee, .es, .se, .ss: try mixAgreement(token)
            case .psk: mixNextPSK()
            }
        }
        let payload = try symmetric.decryptAndHash(Array(rest))
        messagesDone += 1
        return payload
    }

    private static func take(_ count: Int, from rest: inout ArraySlice<UInt8>) throws(HandshakeError) -> [UInt8] {
        guard rest.count >= count else { throw .tooShort }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    private var staticPublicKey: [UInt8] {
        switch localStatic {
        case .some(let key): key.publicKey.bytes
        case .none: preconditionFailure("\(name): no static key to send")
        }
    }

    private mutating func mixEphemeral(_ key: [UInt8]) {
        symmetric.mixHash(key)
        // Section 9.2: with pre-shared keys, the keys must depend on a fresh value.
        if name.pattern.pskCount > 0 { symmetric.mixKey(SecretBytes(key)) }
    }

    private mutating func mixNextPSK() {
        symmetric.mixKeyAndHash(psks.slice(psksUsed * 32..<(psksUsed + 1) * 32))
        psksUsed += 1
    }

    private mutating func mixAgreement(_ token: HandshakePattern.Token) throws(HandshakeError) {
        let shared = try agree(token)
        symmetric.mixKey(shared)
    }

    private func agree(_ token: HandshakePattern.Token) throws(HandshakeError) -> SecretBytes {
        let initiatorIsStatic = token == .se || token == .ss, responderIsStatic = token == .es || token == .ss
        let localIsStatic = role == .initiator ? initiatorIsStatic : responderIsStatic
        let remoteIsStatic = role == .initiator ? responderIsStatic : initiatorIsStatic
        guard let remote = remoteIsStatic ? remoteStatic : remoteEphemeral else {
            preconditionFailure("\(name): \(token) before the remote key is known")
        }
        do throws(KeyAgreementError) {
            guard localIsStatic else { return try localEphemeral.agree(with: remote) }
            switch localStatic {
            case .some(let key): return try key.agree(with: remote)
            case .none: preconditionFailure("\(name): \(token) without a static key")
            }
        } catch {
            switch error {
            case .lowOrderPoint: throw .lowOrderPoint
            }
        }
    }

    /// The state that a message changes.
    private struct Checkpoint: ~Copyable {
        var symmetric: SymmetricState
        var remoteStatic, remoteEphemeral: NodeID?
        var psksUsed: Int
    }

    private func checkpoint() -> Checkpoint {
        Checkpoint(
            symmetric: symmetric.copy(), remoteStatic: remoteStatic, remoteEphemeral: remoteEphemeral,
            psksUsed: psksUsed)
    }

    private mutating func restore(_ saved: consuming Checkpoint) {
        remoteStatic = saved.remoteStatic
        remoteEphemeral = saved.remoteEphemeral
        psksUsed = saved.psksUsed
        symmetric = saved.symmetric
    }
}

/// Why a handshake message, or a message under its keys, was refused.
package enum HandshakeError: Error, Hashable, Sendable {
    case tooShort
    /// Above 65535 bytes.
    case tooLong
    /// A remote key is a point of small order.
    case lowOrderPoint
    case notAuthentic
    /// 2^64 - 1 messages were sent under one key.
    case nonceExhausted
}
