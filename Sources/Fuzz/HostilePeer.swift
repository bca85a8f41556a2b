import Base
import Noise
import Wire

/// A peer that knows the protocol, holds a key and perhaps a certificate, and sends arbitrary content. It performs handshakes
/// with the primitives of `Noise` and seals any plaintext, so that the code behind the cipher gets bytes that no honest
/// program would send.
final class HostilePeer {
    let node: NodeID
    let address: SocketAddress
    let target: NodeID
    let targetAddress: SocketAddress
    private let key: SecretKey
    let certificate: [UInt8]
    private var generator: KeyGenerator
    private var jar: CookieJar
    private let association: UInt64

    private var state: HandshakeState?
    private var keys: TransportKeys?
    private var localIndex: UInt32 = 0
    private var remoteIndex: UInt32 = 0
    private(set) var handshakeHash: [UInt8] = []

    /// The packet number of the session's streams.
    var packetNumber: UInt64 = 0
    var largestReceived: UInt64?
    var controlStream: StreamID?
    var controlOffset: UInt64 = 0
    /// The next stream that this side opens.
    var nextSequence: UInt64 = 0

    static let name = ProtocolName(.ik, CipherSuite(.chaChaPoly, .blake2b))
    static let prologue = Array("asterism mesh 1".utf8)

    init(
        key: consuming SecretKey, certificate: [UInt8], address: SocketAddress, target: NodeID,
        at targetAddress: SocketAddress, seed: Seed
    ) {
        node = key.publicKey
        self.key = key
        self.certificate = certificate
        self.address = address
        self.target = target
        self.targetAddress = targetAddress
        generator = KeyGenerator(seed)
        jar = CookieJar(responder: target)
        association = generator.uint64()
    }

    var hasSession: Bool { keys != nil }
    /// Datagrams sent since the target last sent anything: it may have ended the session silently.
    private(set) var silence = 0
    private var bornAt = Instant.origin

    /// Whether the session is to be given up: the target ignores it, or will soon end it because of its age.
    func isStale(_ now: Instant) -> Bool { silence > 25 || now - bornAt > .seconds(25) }
    var opener: UInt64 { node < target ? 0 : 1 }

    func forget() {
        keys = nil
        state = nil
    }

    /// A first message; `payload` replaces the honest one, and then no answer is awaited.
    func first(payload: [UInt8]? = nil, now: Instant) -> [UInt8] {
        let index = generator.uint32()
        var state = HandshakeState(
            HostilePeer.name, .initiator, prologue: HostilePeer.prologue, localStatic: key.copy(),
            ephemeral: generator.secretKey(), remoteStatic: target)
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeFirst(sender: index).write(to: &writer)
        // The target's key is valid.
        writer.append(try! state.writeMessage(payload: payload ?? honestPayload(padded: true)))
        jar.stamp(&writer.bytes, now: now)
        guard payload == nil else { return writer.bytes }
        localIndex = index
        bornAt = now
        self.state = consume state
        return writer.bytes
    }

    func honestPayload(padded: Bool) -> [UInt8] {
        HandshakePayload(hasAESGCM: false, association: association, certificate: certificate)
            .encoded(paddedTo: padded ? 900 : 0)
    }

    /// Writes both MACs in place of the last 32 bytes, as any sender can that knows the receiver's key.
    func stamp(_ message: inout [UInt8], now: Instant) {
        var other = CookieJar(responder: target)
        message.removeLast(min(message.count, DatagramHeader.macsSize))
        other.stamp(&message, now: now)
    }

    /// Takes a datagram of the target; returns the datagrams to send in return.
    func receive(_ datagram: [UInt8], payload: [UInt8]? = nil, now: Instant) -> [[UInt8]] {
        var reader = ByteReader(datagram.span.bytes)
        guard let header = try? DatagramHeader(reading: &reader) else { return [] }
        switch header {
        case .handshakeFirst(let sender): return answer(datagram, sender, payload: payload, now: now)
        case .handshakeSecond(let sender, let receiver):
            guard receiver == localIndex else { return [] }
            return finish(datagram, sender)
        case .cookieReply:
            let isGood = jar.received(
                reply: datagram.span.bytes.extracting(droppingFirst: DatagramHeader.cookieSize), now: now)
            return isGood ? [first(now: now)] : []
        case .frames(let receiver, let counter):
            if receiver == localIndex { open(datagram, counter) }
            return []
        case .packet, .toRelay, .fromRelay, .bind, .bindAnswer: return []
        }
    }

    private func answer(_ datagram: [UInt8], _ sender: UInt32, payload: [UInt8]?, now: Instant) -> [[UInt8]] {
        var state = HandshakeState(
            HostilePeer.name, .responder, prologue: HostilePeer.prologue, localStatic: key.copy(),
            ephemeral: generator.secretKey())
        let body = Array(datagram[DatagramHeader.firstSize..<datagram.count - DatagramHeader.macsSize])
        guard (try? state.readMessage(body)) != nil else { return [] }
        localIndex = generator.uint32()
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeSecond(sender: localIndex, receiver: sender).write(to: &writer)
        // The reader has already used the ephemeral key.
        writer.append(try! state.writeMessage(payload: payload ?? honestPayload(padded: false)))
        jar.stamp(&writer.bytes, now: now)
        begin(with: state, remote: sender)
        bornAt = now
        return [writer.bytes]
    }

    private func finish(_ datagram: [UInt8], _ sender: UInt32) -> [[UInt8]] {
        guard var state = state.take() else { return [] }
        let body = Array(datagram[DatagramHeader.secondSize..<datagram.count - DatagramHeader.macsSize])
        guard (try? state.readMessage(body)) != nil else { return [] }
        begin(with: state, remote: sender)
        return [seal([])]
    }

    private func begin(with state: consuming HandshakeState, remote: UInt32) {
        handshakeHash = state.handshakeHash
        keys = TransportKeys(state.split(for: .chaChaPoly))
        remoteIndex = remote
        silence = 0
        packetNumber = 0
        largestReceived = nil
        controlStream = nil
        controlOffset = 0
        nextSequence = 0
    }

    /// Seals any bytes for the target.
    func seal(_ plain: [UInt8]) -> [UInt8] {
        let counter = keys!.nextCounter()!
        silence += 1
        var header = ByteWriter()
        DatagramHeader.frames(receiver: remoteIndex, counter: counter).write(to: &header)
        var sealed = plain + [UInt8](repeating: 0, count: DatagramHeader.tagSize)
        sealed.withUnsafeMutableBytes { body in
            header.bytes.withUnsafeBytes { keys!.seal(body, count: plain.count, counter: counter, aad: $0) }
        }
        return header.bytes + sealed
    }

    private func open(_ datagram: [UInt8], _ counter: UInt64) {
        var body = Array(datagram[DatagramHeader.framesSize...])
        let isGood = body.withUnsafeMutableBytes { body in
            datagram[..<DatagramHeader.framesSize].withUnsafeBytes {
                keys?.open(body, counter: counter, aad: $0) ?? false
            }
        }
        if isGood { silence = 0 }
        guard isGood, body.count > DatagramHeader.tagSize else { return }
        body.removeLast(DatagramHeader.tagSize)
        var reader = ByteReader(body.span.bytes)
        guard let number = try? reader.varint("number") else { return }
        largestReceived = max(largestReceived ?? 0, number)
        while !reader.isAtEnd {
            guard let type = try? reader.uint8("type") else { return }
            if MeshFrame.types.contains(type) {
                guard let frame = try? MeshFrame(type: type, reading: &reader) else { return }
                if case .close = frame { return forget() }
            } else {
                guard let frame = try? Frame(type: type, reading: &reader) else { return }
                note(frame)
            }
        }
    }

    /// The target's newest stream is the one on which it will listen.
    private func note(_ frame: Frame) {
        guard case .stream(let id, _, _, _) = frame, id.opener != opener, id != controlStream else { return }
        if let controlStream, controlStream.opener == id.opener, controlStream > id { return }
        controlStream = id
        controlOffset = 0
    }
}
