import Base
import Noise
import Wire

/// # Making and reading handshake messages
///
/// Noise_IK_25519_ChaChaPoly_BLAKE2b. The initiator knows the responder's static key beforehand; certificates are in the
/// payloads, encrypted. It uses no clock: a recorded first message is dropped by its ephemeral key. Where that memory is lost
/// (a restart), it makes a pending keypair that is never confirmed.
///
/// A handshaker holds this node's secret key and everything that decides whether a message is accepted: cookies, the gate
/// against floods, credentials, and the session indices that were given out. It knows no peers and sends nothing;
/// `Endpoint+Handshake.swift` does that.
struct Handshaker: ~Copyable {
    private static let name = ProtocolName(.ik, CipherSuite(.chaChaPoly, .blake2b))
    /// The protocol's name and version are mixed in, so that another version fails at the first tag.
    private static let prologue = Array("asterism mesh 1".utf8)
    private static let dataPlaneLabel = "asterism data plane"
    /// Long enough that no second message is longer than the first message that it answers.
    private static let firstPayloadSize =
        DatagramHeader.secondLengths.upperBound - DatagramHeader.firstSize - 32 - 48 - 16 - DatagramHeader.macsSize

    private let identity: Identity
    private(set) var credentials: Credentials?
    /// Authorities that are trusted until there are credentials.
    private var authorities: [VerifyingKey]
    /// Nodes whose certificates are accepted without a check of the date.
    private var pinned: [NodeID] = []
    private let acceptsAnonymous: Bool
    private let hasDataPlane: Bool
    private var generator: KeyGenerator
    private var checker: CookieChecker
    private var gate = HandshakeGate()
    private var index = SessionIndex()

    init(
        identity: consuming Identity, credentials: Credentials?, configuration: MeshConfiguration,
        checker: consuming CookieChecker, generator: consuming KeyGenerator
    ) {
        self.identity = identity
        self.credentials = credentials
        authorities = configuration.authorities
        acceptsAnonymous = configuration.acceptsAnonymous
        hasDataPlane = configuration.hasDataPlane
        self.generator = generator
        self.checker = checker
    }

    var nodeID: NodeID { identity.nodeID }

    /// The next handshake with each peer shows the new certificate.
    mutating func adopt(_ credentials: Credentials) { self.credentials = credentials }
    mutating func trust(_ authorities: [VerifyingKey]) { self.authorities = authorities }
    mutating func pin(_ nodes: [NodeID]) { pinned = nodes }

    /// A number for the shared state of this node and a new peer.
    mutating func association() -> UInt64 { generator.uint64() }

    // MARK: - Indices

    /// A new index for the peer in `slot`; `nil` when all are taken.
    mutating func allocateIndex(for slot: Int) -> UInt32? { index.allocate(for: slot, random: generator.uint32()) }
    mutating func release(_ index: UInt32) { self.index.release(index) }
    /// The slot of the peer whose session has the index.
    func slot(of index: UInt32) -> Int? { self.index.peer(of: index) }

    // MARK: - Initiator

    /// A first message to `node`, with new ephemerals; `nil` if the node's key is of low order: no node can hold it.
    mutating func firstMessage(
        to node: NodeID, association: UInt64, of initiation: Initiation, cookies: inout CookieJar, now: Instant
    ) -> [UInt8]? {
        var state = HandshakeState(
            Handshaker.name, .initiator, prologue: Handshaker.prologue, localStatic: identity.key.copy(),
            ephemeral: generator.secretKey(), remoteStatic: node)
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeFirst(sender: initiation.index).write(to: &writer)
        do throws(HandshakeError) {
            writer.append(
                try state.writeMessage(payload: payload(association).encoded(paddedTo: Handshaker.firstPayloadSize)))
        } catch { return nil }
        cookies.stamp(&writer.bytes, now: now)
        initiation.sent(state, now: now)
        return writer.bytes
    }

    /// The result of a second message.
    struct SecondOutcome {
        enum Verdict {
            case dropped(DropReason)
            /// The responder is not to be trusted.
            case refused(CertificateFault)
            case completed(Keypair)
        }
        let verdict: Verdict
        /// When the first message that it answers was sent; `nil` if it answers none.
        private(set) var sentAt: Instant?
    }

    /// Reads the answer of `node` to `initiation`. `sender` is the peer's index.
    func readSecond(
        _ datagram: [UInt8], sender: UInt32, to initiation: Initiation, of node: NodeID, now: Instant, wall: UnixTime
    ) -> SecondOutcome {
        guard checker.mac1IsValid(datagram.span.bytes) else { return SecondOutcome(verdict: .dropped(.badMAC1)) }
        guard !initiation.isUnsent else { return SecondOutcome(verdict: .dropped(.unsolicitedResponse)) }
        let message = Array(datagram[DatagramHeader.secondSize..<(datagram.count - DatagramHeader.macsSize)])
        guard let (attempt, plain) = initiation.answer({ attempt in read(message, attempt) }),
            let state = attempt.state.take()
        else { return SecondOutcome(verdict: .dropped(.handshakeFailed)) }
        guard let payload = decode(plain) else {
            return SecondOutcome(verdict: .dropped(.badPayload), sentAt: attempt.sentAt)
        }
        let certificate: Certificate
        do throws(CertificateFault) {
            certificate = try certificateCheck.check(payload.certificate, of: node, wall: wall)
        } catch { return SecondOutcome(verdict: .refused(error), sentAt: attempt.sentAt) }
        let keypair = keypair(
            of: state, localIndex: initiation.index, remoteIndex: sender, isInitiator: true,
            hello: PeerHello(association: payload.association, certificate: certificate),
            peerHasAESGCM: payload.hasAESGCM, now: now)
        return SecondOutcome(verdict: .completed(keypair), sentAt: attempt.sentAt)
    }

    /// The payload, if the message answers that attempt.
    private func read(_ message: [UInt8], _ attempt: Initiation.Attempt) -> (Initiation.Attempt, [UInt8])? {
        guard var state = attempt.state.take() else { return nil }
        do throws(HandshakeError) {
            let plain = try state.readMessage(message)
            attempt.state = consume state
            return (attempt, plain)
        } catch {
            attempt.state = consume state
            return nil
        }
    }

    // MARK: - Responder

    /// An authentic first message, to be answered.
    struct Request: ~Copyable {
        let node: NodeID
        fileprivate let state: HandshakeState
        fileprivate let hello: PeerHello
        fileprivate let peerHasAESGCM: Bool
        /// The peer's index.
        fileprivate let sender: UInt32
    }

    enum FirstOutcome: ~Copyable {
        case dropped(DropReason)
        /// Too many arrive: this reply proves that the sender receives at its address.
        case cookie([UInt8])
        case authentic(Request)
    }

    /// Reads a first message. `hasRoom`: another node without a certificate may have a session.
    mutating func readFirst(
        _ datagram: [UInt8], sender: UInt32, from remote: SocketAddress, hasRoom: Bool, now: Instant, wall: UnixTime
    ) -> FirstOutcome {
        guard checker.mac1IsValid(datagram.span.bytes) else { return .dropped(.badMAC1) }
        let start = DatagramHeader.firstSize
        // 32 bytes make a NodeID.
        let ephemeral = NodeID(datagram[start..<start + 32])!
        guard !gate.hasSeen(ephemeral) else { return .dropped(.replayedHandshake) }
        let hasCookie = checker.mac2IsValid(datagram.span.bytes, from: remote, now: now)
        switch gate.admit(from: remote.ip, hasCookie: hasCookie, now: now) {
        case .admit: break
        case .rateLimited: return .dropped(.rateLimited)
        case .demandCookie: return .cookie(cookieReply(to: datagram, sender: sender, from: remote, now: now))
        }
        var state = HandshakeState(
            Handshaker.name, .responder, prologue: Handshaker.prologue, localStatic: identity.key.copy(),
            ephemeral: generator.secretKey())
        let plain: [UInt8]
        do throws(HandshakeError) {
            plain = try state.readMessage(Array(datagram[start..<(datagram.count - DatagramHeader.macsSize)]))
        } catch { return .dropped(.handshakeFailed) }
        guard let payload = decode(plain), let node = state.remoteStatic, node != nodeID else {
            return .dropped(.badPayload)
        }
        let certificate: Certificate?
        do throws(CertificateFault) {
            certificate = try admit(payload.certificate, of: node, hasRoom: hasRoom, wall: wall)
        } catch { return .dropped(error.drop) }
        gate.remember(ephemeral)
        return .authentic(
            Request(
                node: node, state: state, hello: PeerHello(association: payload.association, certificate: certificate),
                peerHasAESGCM: payload.hasAESGCM, sender: sender))
    }

    private mutating func cookieReply(
        to datagram: [UInt8], sender: UInt32, from remote: SocketAddress, now: Instant
    ) -> [UInt8] {
        var writer = ByteWriter(reserving: DatagramHeader.cookieLength)
        DatagramHeader.cookieReply(receiver: sender).write(to: &writer)
        writer.append(checker.reply(to: datagram.span.bytes, from: remote, using: &generator, now: now))
        return writer.bytes
    }

    /// The certificate of a first message; `nil` for a node that enrols, where that is allowed.
    private func admit(
        _ encoded: [UInt8], of node: NodeID, hasRoom: Bool, wall: UnixTime
    ) throws(CertificateFault) -> Certificate? {
        if encoded.isEmpty {
            guard acceptsAnonymous, hasRoom else { throw .missing }
            return nil
        }
        return try certificateCheck.check(encoded, of: node, wall: wall)
    }

    /// The second message, and the keys that it makes under `localIndex`; `nil` if the peer's ephemeral key is of low order.
    func answer(
        _ request: consuming Request, localIndex: UInt32, association: UInt64, now: Instant
    ) -> (keypair: Keypair, datagram: [UInt8])? {
        let (node, sender, hello) = (request.node, request.sender, request.hello)
        let peerHasAESGCM = request.peerHasAESGCM
        var state = request.state
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeSecond(sender: localIndex, receiver: sender).write(to: &writer)
        do throws(HandshakeError) {
            writer.append(try state.writeMessage(payload: payload(association).encoded()))
        } catch { return nil }
        var jar = CookieJar(responder: node)
        jar.stamp(&writer.bytes, now: now)
        let keypair = keypair(
            of: state, localIndex: localIndex, remoteIndex: sender, isInitiator: false, hello: hello,
            peerHasAESGCM: peerHasAESGCM, now: now)
        return (keypair, writer.bytes)
    }

    // MARK: - Both

    /// The keys of a finished handshake, the data plane's among them.
    private func keypair(
        of state: consuming HandshakeState, localIndex: UInt32, remoteIndex: UInt32, isInitiator: Bool,
        hello: PeerHello, peerHasAESGCM: Bool, now: Instant
    ) -> Keypair {
        // Both ends state, encrypted in the handshake, whether they have AES in hardware; both then choose the same cipher.
        let cipher: Cipher = peerHasAESGCM && Cipher.aesGCM.isAvailable ? .aesGCM : .chaChaPoly
        let hash = state.handshakeHash
        let dataKeys = hasDataPlane ? state.additionalKeys(Handshaker.dataPlaneLabel, for: cipher) : nil
        let keypair = Keypair(
            localIndex: localIndex, remoteIndex: remoteIndex, isInitiator: isInitiator, handshakeHash: hash,
            hello: hello, keys: TransportKeys(state.split(for: cipher)), createdAt: now)
        keypair.dataKeys = dataKeys
        return keypair
    }

    private var certificateCheck: CertificateCheck {
        CertificateCheck(
            authorities: credentials?.authorities ?? authorities,
            fleet: credentials?.certificate.certificate.fleet, pinned: pinned)
    }

    private func payload(_ association: UInt64) -> HandshakePayload {
        HandshakePayload(
            hasAESGCM: Cipher.aesGCM.isAvailable, association: association,
            certificate: credentials?.certificate.encoded() ?? [])
    }

    private func decode(_ plain: [UInt8]) -> HandshakePayload? {
        var reader = ByteReader(plain.span.bytes)
        return try? HandshakePayload(reading: &reader)
    }
}
