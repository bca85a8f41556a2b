import Base
import Foundation
import Noise
import Testing
import Wire

@testable import Mesh

/// The article's vectors are those of the code: an independent implementation that follows it gets the same bytes.
@Suite struct ProtocolArticleTests {
    /// The blocks of the article, by the word after `hex`.
    static func vectors() throws -> [String: String] {
        let article = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/Mesh/Mesh.docc/Protocol.md")
        var found: [String: String] = [:], open: String?
        for line in try String(contentsOf: article, encoding: .utf8).components(separatedBy: "\n") {
            if line.hasPrefix("```hex ") {
                open = String(line.dropFirst(7))
                found[open!] = ""
            } else if line == "```" {
                open = nil
            } else if let open {
                found[open]! += line
            }
        }
        return found
    }

    private static func bytes(from first: UInt8) -> [UInt8] { (first..<first + 32).map { $0 } }
    private static let name = ProtocolName(.ik, CipherSuite(.chaChaPoly, .blake2b))
    private static let prologue = Array("asterism mesh 1".utf8)

    private static func header(_ header: DatagramHeader) -> [UInt8] {
        var writer = ByteWriter()
        header.write(to: &writer)
        return writer.bytes
    }

    @Test func `the vectors of the article are those of the code`() throws {
        let vectors = try Self.vectors()
        let initiatorKey = SecretKey(Self.bytes(from: 0))!, responderKey = SecretKey(Self.bytes(from: 0x20))!
        let initiatorID = initiatorKey.publicKey, responderID = responderKey.publicKey
        var initiator = HandshakeState(
            Self.name, .initiator, prologue: Self.prologue, localStatic: initiatorKey.copy(),
            ephemeral: SecretKey(Self.bytes(from: 0x40))!, remoteStatic: responderID)
        var responder = HandshakeState(
            Self.name, .responder, prologue: Self.prologue, localStatic: responderKey.copy(),
            ephemeral: SecretKey(Self.bytes(from: 0x60))!)
        func hello(_ association: UInt64) -> [UInt8] {
            HandshakePayload(hasAESGCM: false, association: association, certificate: []).encoded()
        }

        let one = try initiator.writeMessage(payload: hello(0x1111_1111_1111_1111))
        var first = Self.header(.handshakeFirst(sender: 0x0102_0304)) + one
        var toResponder = CookieJar(responder: responderID)
        toResponder.stamp(&first, now: .origin)
        #expect(first.hex == vectors["first"])

        _ = try responder.readMessage(one)
        #expect(responder.remoteStatic == initiatorID)
        let two = try responder.writeMessage(payload: hello(0x2222_2222_2222_2222))
        var second = Self.header(.handshakeSecond(sender: 0x0506_0708, receiver: 0x0102_0304)) + two
        var toInitiator = CookieJar(responder: initiatorID)
        toInitiator.stamp(&second, now: .origin)
        #expect(second.hex == vectors["second"])

        _ = try initiator.readMessage(two)
        #expect(initiator.handshakeHash.hex == vectors["hash"])
        let packetKeys = initiator.additionalKeys("asterism data plane", for: .chaChaPoly)
        var keys = TransportKeys(initiator.split())
        let counter = keys.nextCounter()
        #expect(counter == 0)
        let header = Self.header(.frames(receiver: 0x0506_0708, counter: 0))
        let plain: [UInt8] = [0, 0x20, 1, 2, 3, 4, 5, 6, 7, 8]
        var sealed = plain + [UInt8](repeating: 0, count: DatagramHeader.tagSize)
        sealed.withUnsafeMutableBytes { buffer in
            header.withUnsafeBytes { keys.seal(buffer, count: plain.count, counter: 0, aad: $0) }
        }
        #expect((header + sealed).hex == vectors["frames"])
        #expect(Self.packet(packetKeys.send.copyKey()).hex == vectors["packet"])
        // What one side sends the other opens.
        let theirs = responder.additionalKeys("asterism data plane", for: .chaChaPoly)
        #expect(Self.packet(theirs.receive.copyKey()) == Self.packet(packetKeys.send.copyKey()))
    }

    @Test func `the article's bind is what a node sends and a relay accepts`() throws {
        let key = try #require(BindKey(Self.bytes(from: 0x80)))
        let bind = BindMessage(allocation: 0x0102_0304, number: 7, challenge: [UInt8](repeating: 0x22, count: 16))
            .encoded(.bind, key: key)
        #expect(bind.hex == (try Self.vectors())["bind"])
        #expect(key.isValid(bind))
    }

    @Test func `what the article writes for two relays is what a node writes`() throws {
        let path = PathAddress(
            SocketAddress("192.0.2.1:7950")!, allocations: AllocationPair(near: 0x0910_1112, far: 0x1314_1516),
            via: AllocationPair(near: 0x0102_0304, far: 0x0506_0708))
        var bytes = [UInt8](repeating: 0, count: path.overhead)
        bytes.withUnsafeMutableBytes { path.write(to: $0) }
        #expect(bytes.hex == (try Self.vectors())["nested"])
        // The data plane writes the same.
        var again = [UInt8](repeating: 0, count: path.overhead)
        again.withUnsafeMutableBytes { TrainOutbox.write(path, at: $0.baseAddress!) }
        #expect(again == bytes)
    }

    /// A packet of 28 bytes under a key, as kind 5.
    private static func packet(_ key: consuming CipherKey) -> [UInt8] {
        let header = Self.header(.packet(flags: 1, receiver: 0x0506_0708, counter: 0))
        let plain: [UInt8] = [0x45, 0, 0, 0x1c] + (4..<28).map { $0 }
        var sealed = [UInt8](repeating: 0, count: plain.count + Cipher.tagCount)
        sealed.withUnsafeMutableBytes { target in
            header.withUnsafeBytes { aad in
                plain.withUnsafeBytes { source in
                    key.seal(
                        from: source.baseAddress!, count: plain.count, to: target.baseAddress!,
                        nonce: Nonce(0, for: .chaChaPoly), aad: aad)
                }
            }
        }
        return header + sealed
    }

    @Test func `a connection begins as the article shows`() throws {
        var stream = DatagramFraming.greeting
        ([9, 8, 7] as [UInt8]).withUnsafeBytes { DatagramFraming.append($0, to: &stream) }
        #expect(stream.hex == (try Self.vectors())["tcp"])
    }

    @Test func `the article's overlay addresses are those of the code`() throws {
        let fleet = FleetID(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f)
        let nodes = [Self.bytes(from: 0), Self.bytes(from: 0x20)].map { SecretKey($0)!.publicKey }
        let network = OverlayAddress.prefix6(of: fleet)
        let addresses = nodes.map { OverlayAddress.v6(of: $0, fleet: fleet) }
        #expect((network.bytes.prefix(6) + addresses.flatMap(\.bytes)).hex == (try Self.vectors()["overlay"]))
        #expect(network.bytes.dropFirst(6).allSatisfy { $0 == 0 })
        #expect(OverlayAddress.network6(of: fleet).description == "\(network)/48")
        for address in addresses { #expect(OverlayAddress.network6(of: fleet).contains(address)) }
    }
}
