import Base
import Noise
import Testing

/// The vectors of cacophony and snow: each is one conversation, and both sides are played.
@Suite struct HandshakeVectorTests {
    @Test func `every vector gives its ciphertexts, payloads and hash on both sides`() throws {
        var tally = Tally("Noise vectors"), hashes = 0
        var patterns: Set<String> = []
        for file in try Vectors.all("noise") {
            let vectors = try #require(file.root["vectors"] as? [[String: Any]], "\(file.file)")
            for vector in vectors {
                let text = try #require((vector["protocol_name"] ?? vector["name"]) as? String)
                let name: ProtocolName
                switch Result(catching: { () throws(ProtocolNameError) in try ProtocolName(text) }) {
                case .success(let spoken): name = spoken
                case .failure(let error):
                    tally.skip(try #require(leftOut(error), "\(file.file) \(text): \(error)"))
                    continue
                }
                guard name.suite.cipher.isAvailable else {
                    tally.skip("\(name.suite.cipher.name) not available on this processor")
                    continue
                }
                #expect(name.description == text)
                tally.run += 1
                do {
                    try play(name, Vector(vector), "\(file.file) \(text)")
                } catch {
                    Issue.record("\(file.file) \(text): \(error)")
                }
                hashes += vector["handshake_hash"] == nil ? 0 : 1
                patterns.insert(name.pattern.name)
            }
        }
        print(tally, "- \(patterns.count) patterns, \(hashes) handshake hashes")
        let halfWithoutAES = Cipher.aesGCM.isAvailable ? 1 : 2
        #expect(tally.run >= 260 / halfWithoutAES && hashes >= 200 / halfWithoutAES && patterns.count >= 41)
    }

    /// Why a protocol is not spoken on purpose; `nil` if it should be.
    private func leftOut(_ error: ProtocolNameError) -> String? {
        switch error {
        case .unknownHash("BLAKE2s"): "BLAKE2s, which libsodium lacks"
        case .unknownPattern(let pattern) where pattern.contains("fallback"): "fallback patterns"
        case .unknownPattern(let pattern) where pattern.contains("hfs"): "hybrid forward secrecy"
        case .unknownCurve(let curve): "curve \(curve)"
        case .unknownCipher(let cipher): "cipher \(cipher)"
        case .malformed, .unknownHash, .unknownPattern: nil
        }
    }

    private func play(_ name: ProtocolName, _ vector: Vector, _ what: String) throws {
        var initiator = try vector.side(.initiator, name), responder = try vector.side(.responder, name)
        for index in 0..<name.pattern.messages.count {
            let (payload, ciphertext) = (vector.messages[index].payload, vector.messages[index].ciphertext)
            let written: [UInt8], read: [UInt8]
            if name.pattern.messages[index].writer == .initiator {
                written = try initiator.writeMessage(payload: payload)
                read = try responder.readMessage(ciphertext)
            } else {
                written = try responder.writeMessage(payload: payload)
                read = try initiator.readMessage(ciphertext)
            }
            #expect(written == ciphertext, "\(what), message \(index) written")
            #expect(read == payload, "\(what), message \(index) read")
        }
        let isFinished = initiator.isFinished && responder.isFinished
        #expect(isFinished, "\(what)")
        let sameHash = initiator.handshakeHash == responder.handshakeHash
        #expect(sameHash, "\(what)")
        if let expected = vector.handshakeHash {
            let hash = initiator.handshakeHash
            #expect(hash == expected, "\(what)")
        }
        // Who sent a static key is known by it.
        if name.pattern.needsStatic(.initiator) {
            let seen = responder.remoteStatic
            #expect(seen == vector.publicKey(.initiator), "\(what)")
        }
        if name.pattern.needsStatic(.responder) {
            let seen = initiator.remoteStatic
            #expect(seen == vector.publicKey(.responder), "\(what)")
        }
        try playTransport(name, vector, initiator.split(), responder.split(), what)
    }

    private func playTransport(
        _ name: ProtocolName, _ vector: Vector, _ initiator: consuming CipherStates,
        _ responder: consuming CipherStates, _ what: String
    ) throws {
        let first = name.pattern.messages.count
        #expect(vector.messages.count > first, "\(what) has no transport message")
        for index in first..<vector.messages.count {
            let (payload, ciphertext) = (vector.messages[index].payload, vector.messages[index].ciphertext)
            let written: [UInt8], read: [UInt8]
            if name.pattern.isOneWay || index % 2 == 0 {
                written = try initiator.send.encrypt(payload)
                read = try responder.receive.decrypt(ciphertext)
            } else {
                written = try responder.send.encrypt(payload)
                read = try initiator.receive.decrypt(ciphertext)
            }
            #expect(written == ciphertext, "\(what), transport message \(index) written")
            #expect(read == payload, "\(what), transport message \(index) read")
        }
    }
}

/// One entry of a vector file.
private struct Vector {
    var fields: [String: Any]
    var messages: [(payload: [UInt8], ciphertext: [UInt8])]

    init(_ fields: [String: Any]) throws {
        self.fields = fields
        messages = try #require(fields["messages"] as? [[String: String]]).map { message in
            let payload = try #require([UInt8](hex: message["payload"] ?? "?"))
            return (payload, try #require([UInt8](hex: message["ciphertext"] ?? "?")))
        }
    }

    var handshakeHash: [UInt8]? { bytes("handshake_hash") }

    func publicKey(_ role: Role) -> NodeID? {
        guard let key = bytes(prefix(role) + "static"), let secret = SecretKey(key) else { return nil }
        return secret.publicKey
    }

    func side(_ role: Role, _ name: ProtocolName) throws -> HandshakeState {
        let prefix = prefix(role)
        // A responder of a one-way pattern has no ephemeral key; any will do, since it is not used.
        let ephemeralBytes = bytes(prefix + "ephemeral") ?? [UInt8](repeating: 1, count: 32)
        guard let ephemeral = SecretKey(ephemeralBytes) else { throw Malformed() }
        let psks = try ((fields[prefix + "psks"] as? [String]) ?? []).map { try #require([UInt8](hex: $0)) }
        return HandshakeState(
            name, role, prologue: bytes(prefix + "prologue") ?? [],
            localStatic: bytes(prefix + "static").flatMap { SecretKey($0) }, ephemeral: ephemeral,
            remoteStatic: bytes(prefix + "remote_static").flatMap { NodeID($0) }, psks: psks)
    }

    private struct Malformed: Error {}

    private func prefix(_ role: Role) -> String { role == .initiator ? "init_" : "resp_" }
    private func bytes(_ field: String) -> [UInt8]? { (fields[field] as? String).flatMap { [UInt8](hex: $0) } }
}
