import Base
import Control
import EventLoop
import Mesh
import Platform
import Wire

/// Keeps the node's one capture: empties its tap, and gives the next part of the file to the reader. A capture that is no
/// longer read ends, so that a killed reader leaves no cost.
final class CaptureHost {
    typealias Answer = RPCServer<AgentRequest, AgentReply>.Answer

    /// What only the rest of the agent knows.
    struct Delegate {
        private(set) var party: (CapturedPacket) -> CapturedPacket.Party
        /// This node's end of datagrams to that far end, by that socket.
        private(set) var local: (SocketAddress, UInt16) -> SocketAddress
        /// Puts a tap where packets pass, or takes it away.
        private(set) var install: (CaptureTap?) -> Void
    }

    private let loop: Loop
    private let delegate: Delegate
    private var session: CaptureSession?
    private var reader: Answer?
    private var lastReadAt = Instant.origin
    private var endsAt = Instant.distantFuture
    private var lastNumber: Int64 = 0
    private var timer: Timer!
    /// This node's ends of datagrams to destinations, until they are looked up again.
    private var locals: [(remote: SocketAddress, socket: UInt16, local: SocketAddress)] = []
    /// Where packets are copied to during a capture.
    private(set) var tap: CaptureTap?

    private static let look = Interval.milliseconds(50)
    /// A capture that is not read again within this time ends. Also the longest that a reader waits for new packets.
    private static let patience = Interval.seconds(5)
    private static let news = Interval.seconds(1)

    init(on loop: Loop, _ delegate: Delegate) {
        self.loop = loop
        self.delegate = delegate
        let me = Weak(self)
        timer = Timer(on: loop, "capture") { me.object?.everyLook() }
    }

    func close() {
        forget()
        timer.close()
    }

    // MARK: - Requests

    func start(_ order: CaptureStart, peer: NodeID?, _ answer: Answer) {
        func refuse(_ field: String, _ why: String) { answer(.failure(APIError(.invalid, why, field: field))) }
        if let count = order.count, !(1...1_000_000_000).contains(count) {
            return refuse("count", "must be 1 to 1000000000, not \(count)")
        }
        if let seconds = order.seconds, !(1...86_400).contains(seconds) {
            return refuse("seconds", "must be 1 to 86400, not \(seconds)")
        }
        guard session == nil else {
            return answer(.failure(APIError(.conflict, "another capture runs on this node")))
        }
        lastNumber += 1
        var new = CaptureSession(
            number: lastNumber, layer: order.layer, peer: peer, count: order.count.map { Int($0) },
            version: AsterismVersion.current, now: Clock.wallNanoseconds())
        let tap = CaptureTap(order.layer)
        self.tap = tap
        delegate.install(tap)
        lastReadAt = loop.now
        endsAt = order.seconds.map { loop.now + .seconds($0) } ?? .distantFuture
        timer.arm(every: CaptureHost.look)
        answer(.success(.capture(new.read())))
        session = new
    }

    /// Answered when there are packets, or after a second.
    func read(_ number: Int64, _ answer: @escaping Answer) {
        guard session?.number == number else { return answer(.failure(CaptureHost.over(number))) }
        // A second concurrent read ends the first one with what there is.
        notifyReader()
        lastReadAt = loop.now
        reader = answer
        if session?.hasNews ?? false { notifyReader() }
    }

    func stop(_ number: Int64, _ answer: Answer) {
        guard session?.number == number else { return answer(.failure(CaptureHost.over(number))) }
        drain()
        session?.end(at: Clock.wallNanoseconds())
        if let view = session?.read() { answer(.success(.capture(view))) }
        forget()
    }

    private static func over(_ number: Int64) -> APIError { APIError(.notFound, "capture \(number) has ended") }

    // MARK: - Time

    private func everyLook() {
        drain()
        let now = loop.now
        if now >= endsAt { session?.end(at: Clock.wallNanoseconds()) }
        if session?.isEnded ?? false, tap != nil { removeTap() }
        if session?.hasNews ?? false || now - lastReadAt >= CaptureHost.news { notifyReader() }
        if reader == nil, now - lastReadAt >= CaptureHost.patience { forget() }
    }

    private func drain() {
        locals = []
        // What the reader does not take stays in the tap, which counts what it cannot hold.
        guard let tap, session?.hasRoom ?? false else { return }
        let caught = tap.take()
        for packet in caught.packets {
            let party = delegate.party(packet)
            session?.add(packet, party, local: local(of: packet))
        }
        session?.lost(caught.droppedInner, of: .inner)
        session?.lost(caught.droppedOuter, of: .outer)
    }

    private func local(of packet: CapturedPacket) -> SocketAddress {
        guard packet.layer == .outer, let path = packet.path else { return SocketAddress(.any4, 0) }
        if let known = locals.first(where: { $0.remote == path.remote && $0.socket == path.socket }) {
            return known.local
        }
        let local = delegate.local(path.remote, path.socket)
        if locals.count < 64 { locals.append((path.remote, path.socket, local)) }
        return local
    }

    private func notifyReader() {
        guard let answer = reader, let view = session?.read() else { return }
        reader = nil
        lastReadAt = loop.now
        answer(.success(.capture(view)))
        if view.isFinal { forget() }
    }

    private func removeTap() {
        tap = nil
        delegate.install(nil)
    }

    private func forget() {
        if tap != nil { removeTap() }
        session = nil
        reader?(.failure(APIError(.unavailable, "the capture has ended")))
        reader = nil
        timer.cancel()
    }
}
