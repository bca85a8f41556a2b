import Base
import Noise
import Testing

@Suite struct HandshakeTests {
    static let suite = CipherSuite(.chaChaPoly, .blake2b)

    /// The two sides of a pattern, each with the keys that it needs.
    static func pair(
        _ pattern: HandshakePattern, seed: UInt64 = 1, suite: CipherSuite = suite
    ) -> Pair {
        var generator = KeyGenerator(Seed(seed))
        let name = ProtocolName(pattern, suite)
        let initiatorKey = generator.secretKey(), responderKey = generator.secretKey()
        let initiatorID = initiatorKey.publicKey, responderID = responderKey.publicKey
        let psks = (0..<pattern.pskCount).map { _ in generator.bytes(32) }
        return Pair(
            initiator: HandshakeState(
                name, .initiator, prologue: [1, 2, 3], localStatic: initiatorKey, ephemeral: generator.secretKey(),
                remoteStatic: responderID, psks: psks),
            responder: HandshakeState(
                name, .responder, prologue: [1, 2, 3], localStatic: responderKey, ephemeral: generator.secretKey(),
                remoteStatic: initiatorID, psks: psks),
            initiatorID: initiatorID, responderID: responderID)
    }

    struct Pair: ~Copyable {
        var initiator: HandshakeState
        var responder: HandshakeState
        var initiatorID: NodeID
        var responderID: NodeID

        /// Plays whatever messages are left.
        mutating func finish() throws {
            while !initiator.isFinished || !responder.isFinished {
                if initiator.isOurTurn {
                    _ = try responder.readMessage(try initiator.writeMessage())
                } else {
                    _ = try initiator.readMessage(try responder.writeMessage())
                }
            }
        }
        consuming func initiatorKeys() -> TransportKeys { TransportKeys(initiator.split()) }
    }

    @Test(arguments: HandshakePattern.baseNames)
    func `every pattern ends with the same keys on both sides, with and without pre-shared keys`(name: String) throws {
        let plain = try #require(HandshakePattern(name))
        let modified = (0...plain.messages.count).map { "\(name)psk\($0)" }
        let all = "\(name)psk" + (0...plain.messages.count).map(String.init).joined(separator: "+psk")
        for variant in [name] + modified + [all] {
            let pattern = try #require(HandshakePattern(variant), "\(variant)")
            var pair = HandshakeTests.pair(pattern)
            try pair.finish()
            let sameHash = pair.initiator.handshakeHash == pair.responder.handshakeHash
            #expect(sameHash, "\(variant)")
            var near = pair.initiator.split(), far = pair.responder.split()
            #expect(try far.receive.decrypt(near.send.encrypt([7, 8, 9])) == [7, 8, 9], "\(variant)")
            #expect(try near.receive.decrypt(far.send.encrypt([10])) == [10], "\(variant)")
        }
    }

    @Test func `there are thirty-eight base patterns`() {
        #expect(HandshakePattern.baseNames.count == 38 && Set(HandshakePattern.baseNames).count == 38)
    }

    /// Section 7.3: what a pattern must keep to be safe.
    @Test(arguments: HandshakePattern.baseNames)
    func `every pattern is valid by the specification's rules`(name: String) throws {
        let pattern = try #require(HandshakePattern(name))
        var known: [(Role, HandshakePattern.Token)] = pattern.knownStatics.map { ($0, .s) }
        func has(_ role: Role, _ token: HandshakePattern.Token) -> Bool { known.contains { $0 == (role, token) } }
        var done: Set<HandshakePattern.Token> = []
        for (index, message) in pattern.messages.enumerated() {
            #expect(message.writer == (index % 2 == 0 ? .initiator : .responder))
            for token in message.tokens {
                switch token {
                case .e, .s:
                    #expect(!has(message.writer, token), "sent twice")
                    known.append((message.writer, token))
                case .ee: #expect(has(.initiator, .e) && has(.responder, .e) && done.insert(.ee).inserted)
                case .es: #expect(has(.initiator, .e) && has(.responder, .s) && done.insert(.es).inserted)
                case .se: #expect(has(.initiator, .s) && has(.responder, .e) && done.insert(.se).inserted)
                case .ss: #expect(has(.initiator, .s) && has(.responder, .s) && done.insert(.ss).inserted)
                case .psk: Issue.record("a base pattern has no pre-shared key")
                }
            }
        }
    }

    @Test func `the responder of IK knows the initiator and its payload before it answers`() throws {
        var pair = HandshakeTests.pair(.ik)
        let message = try pair.initiator.writeMessage(payload: Array("certificate".utf8))
        let payload = try pair.responder.readMessage(message)
        let (caller, turn, finished) = (
            pair.responder.remoteStatic, pair.responder.isOurTurn, pair.responder.isFinished
        )
        #expect(payload == Array("certificate".utf8) && caller == pair.initiatorID && turn && !finished)
    }

    @Test func `a failed message leaves the handshake able to take the true one`() throws {
        for pattern in ["IK", "XX", "IKpsk2", "XXpsk0+psk3"] {
            var pair = HandshakeTests.pair(try #require(HandshakePattern(pattern)))
            while !pair.initiator.isFinished || !pair.responder.isFinished {
                let initiatorWrites = pair.initiator.isOurTurn
                let message =
                    try initiatorWrites ? pair.initiator.writeMessage() : pair.responder.writeMessage(payload: [5])
                var forgeries = (0..<message.count).map { Array(message.prefix($0)) }
                forgeries += message.indices.map { at in
                    var forged = message
                    forged[at] ^= 1
                    return forged
                }
                for forged in forgeries {
                    // Without a key yet, a message is not authenticated: only its length can be wrong.
                    let before = initiatorWrites ? pair.responder.handshakeHash : pair.initiator.handshakeHash
                    let isFirstOfXX = pattern == "XX" && initiatorWrites && !pair.initiator.isFinished
                    if isFirstOfXX, forged.count >= 32 { continue }
                    #expect(throws: HandshakeError.self) {
                        _ =
                            try initiatorWrites
                            ? pair.responder.readMessage(forged) : pair.initiator.readMessage(forged)
                    }
                    let after = initiatorWrites ? pair.responder.handshakeHash : pair.initiator.handshakeHash
                    #expect(before == after)
                }
                _ = try initiatorWrites ? pair.responder.readMessage(message) : pair.initiator.readMessage(message)
            }
            let sameHash = pair.initiator.handshakeHash == pair.responder.handshakeHash
            #expect(sameHash)
        }
    }

    @Test func `sides of different prologues, names, pre-shared or expected keys do not agree`() throws {
        var generator = KeyGenerator(Seed(3))
        let initiatorKey = generator.secretKey(), responderKey = generator.secretKey(), third = generator.secretKey()
        let psk = generator.bytes(32)
        let aes: Cipher = Cipher.aesGCM.isAvailable ? .aesGCM : .chaChaPoly
        let name = ProtocolName(.ik, HandshakeTests.suite), psk0 = HandshakePattern("IKpsk0")!
        let cases: [(ProtocolName, [UInt8], NodeID, [[UInt8]])] = [
            (name, [1], responderKey.publicKey, []),
            (ProtocolName(.ik, CipherSuite(aes, .sha256)), [], responderKey.publicKey, []),
            (name, [], third.publicKey, []),
            (ProtocolName(psk0, HandshakeTests.suite), [], responderKey.publicKey, [psk]),
        ]
        for (name, prologue, expected, psks) in cases {
            var initiator = HandshakeState(
                name, .initiator, prologue: prologue, localStatic: initiatorKey.copy(),
                ephemeral: generator.secretKey(), remoteStatic: expected, psks: psks)
            let message = try initiator.writeMessage()
            var responder = HandshakeState(
                ProtocolName(psks.isEmpty ? .ik : psk0, HandshakeTests.suite), .responder,
                localStatic: responderKey.copy(), ephemeral: generator.secretKey(),
                psks: psks.isEmpty ? [] : [generator.bytes(32)])
            #expect(throws: HandshakeError.notAuthentic) { _ = try responder.readMessage(message) }
        }
    }

    @Test func `a point of small order is refused wherever it comes from`() throws {
        var generator = KeyGenerator(Seed(4))
        let lowOrder = NodeID([UInt8](repeating: 0, count: 32))!
        let name = ProtocolName(.ik, HandshakeTests.suite)
        var initiator = HandshakeState(
            name, .initiator, localStatic: generator.secretKey(), ephemeral: generator.secretKey(),
            remoteStatic: lowOrder)
        #expect(throws: HandshakeError.lowOrderPoint) { _ = try initiator.writeMessage() }
        var responder = HandshakeState(
            name, .responder, localStatic: generator.secretKey(), ephemeral: generator.secretKey())
        let message = lowOrder.bytes + [UInt8](repeating: 0, count: 96)
        #expect(throws: HandshakeError.lowOrderPoint) { _ = try responder.readMessage(message) }
    }

    @Test func `no message is longer than 65535 bytes`() throws {
        var pair = HandshakeTests.pair(.ik)
        let room = HandshakeState.maximumMessageCount - 32 - 48 - 16
        #expect(throws: HandshakeError.tooLong) {
            _ = try pair.initiator.writeMessage(payload: [UInt8](repeating: 0, count: room + 1))
        }
        let message = try pair.initiator.writeMessage(payload: [UInt8](repeating: 0, count: room))
        #expect(message.count == 65535)
        #expect(throws: HandshakeError.tooLong) { _ = try pair.responder.readMessage(message + [0]) }
        #expect(try pair.responder.readMessage(message).count == room)
    }

    @Test func `the error for an unsupported name states why`() {
        let wrong: [(String, ProtocolNameError)] = [
            ("", .malformed), ("Noise_IK_25519_ChaChaPoly", .malformed),
            ("noise_IK_25519_ChaChaPoly_SHA256", .malformed),
            ("Noise_IK_25519_ChaChaPoly_SHA256_x", .malformed),
            ("Noise_ZZ_25519_ChaChaPoly_SHA256", .unknownPattern("ZZ")),
            ("Noise__25519_ChaChaPoly_SHA256", .unknownPattern("")),
            ("Noise_IKpsk_25519_ChaChaPoly_SHA256", .unknownPattern("IKpsk")),
            ("Noise_IKpsk3_25519_ChaChaPoly_SHA256", .unknownPattern("IKpsk3")),
            ("Noise_IKpsk2+psk0_25519_ChaChaPoly_SHA256", .unknownPattern("IKpsk2+psk0")),
            ("Noise_IKpsk0+_25519_ChaChaPoly_SHA256", .unknownPattern("IKpsk0+")),
            ("Noise_XXfallback_25519_ChaChaPoly_SHA256", .unknownPattern("XXfallback")),
            ("Noise_IK_448_ChaChaPoly_SHA256", .unknownCurve("448")),
            ("Noise_IK_25519_Salsa_SHA256", .unknownCipher("Salsa")),
            ("Noise_IK_25519_AESGCM_BLAKE2s", .unknownHash("BLAKE2s")),
        ]
        for (text, error) in wrong { #expect(throws: error) { _ = try ProtocolName(text) } }
    }
}
