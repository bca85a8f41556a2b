import Base
import Mesh
import Wire

/// # The way to a controller
///
/// One session with one controller, one control stream in it, and heartbeats outside of the stream.
///
/// ```
///  idle ──→ waiting ── connect ──→ connecting ── session ──→ connected ── stream ──→ up
///              ↑                       │ failed                  │  ↑                │
///              ├───────────────────────┘                         │  └── stream lost ─┤
///              └──────────────────────── session lost ───────────┴───────────────────┘
/// ```
///
/// It retries forever, first after 0.2 s, later after at most 5 s. After each failure the next controller is tried.
struct Uplink: Sendable {
    enum Phase: Sendable {
        /// There is no controller to connect to.
        case idle
        case waiting(until: Instant)
        case connecting(NodeID)
        /// A session, and no control stream yet; one is opened at `streamAt`.
        case connected(NodeID, PeerSession, streamAt: Instant)
        case up(ControlLink, PeerSession)
    }

    /// How long to wait before the next attempt.
    enum Delay: Hashable {
        /// None; earlier failures are not counted any more.
        case none
        /// Longer after each failure.
        case backoff
    }

    private(set) var phase: Phase
    private var backoff = Backoff(first: .milliseconds(200), longest: .seconds(5))
    /// When the next heartbeat is due; `nil` without a session.
    private(set) var heartbeatAt: Instant?
    /// Addresses of controllers that are known by name.
    private var names = NameCache()

    /// A stream that could not be opened is tried again after so long.
    private static let streamEvery = Interval.seconds(1)

    init(isMember: Bool, now: Instant) { phase = isMember ? .waiting(until: now) : .idle }

    /// The controller that is or will be connected.
    var node: NodeID? {
        switch phase {
        case .idle, .waiting: nil
        case .connecting(let node), .connected(let node, _, _): node
        case .up(let link, _): link.node
        }
    }

    var link: ControlLink? { if case .up(let link, _) = phase { link } else { nil } }

    /// The controller with which there is a session, with or without a control stream.
    var session: (node: NodeID, session: PeerSession)? {
        switch phase {
        case .idle, .waiting, .connecting: nil
        case .connected(let node, let session, _): (node, session)
        case .up(let link, let session): (link.node, session)
        }
    }

    /// `isLeaving`: a node that leaves makes no more connections.
    func deadline(isLeaving: Bool) -> Deadline? {
        switch phase {
        case .idle, .connecting, .up: nil
        case .waiting(let until): isLeaving ? nil : Deadline(until, "uplink retry")
        case .connected(_, _, let streamAt): Deadline(streamAt, "control stream")
        }
    }

    func isControlStream(_ stream: StreamID, of node: NodeID) -> Bool {
        link.map { $0.node == node && $0.stream == stream } ?? false
    }

    // MARK: - Phases

    /// The controller to connect to now; `nil` where it is not time. `controllers`: all that may be connected to.
    mutating func nextController(_ controllers: [ControllerAddress], now: Instant) -> ControllerAddress? {
        guard case .waiting(let until) = phase, until <= now else { return nil }
        guard !controllers.isEmpty else {
            phase = .idle
            return nil
        }
        return controllers[Int(backoff.failures % Int64(controllers.count))]
    }

    mutating func connect(to node: NodeID) { phase = .connecting(node) }

    mutating func connected(_ node: NodeID, _ session: PeerSession, now: Instant) {
        phase = .connected(node, session, streamAt: now)
    }

    /// Streams can be opened again in this session.
    mutating func streamsOpenable(now: Instant) {
        if case .connected(let node, let session, _) = phase { phase = .connected(node, session, streamAt: now) }
    }

    /// Opens the control stream if it is time. Returns the session in which it was opened.
    mutating func openStream(on endpoint: inout Endpoint, now: Instant) -> PeerSession? {
        guard case .connected(let node, let session, let streamAt) = phase, streamAt <= now else { return nil }
        guard let stream = endpoint.openStream(to: node) else {
            phase = .connected(node, session, streamAt: now + Uplink.streamEvery)
            return nil
        }
        phase = .up(ControlLink(node: node, stream: stream), session)
        return session
    }

    /// The control stream is lost. Another one is opened in the same session, a little later.
    mutating func loseStream(
        on endpoint: inout Endpoint, random: inout Random, now: Instant, into out: inout MeshOutbox
    ) {
        guard case .up(let link, let session) = phase else { return }
        phase = .connected(link.node, session, streamAt: now + backoff.next(&random))
        endpoint.reset(link.stream, of: link.node, code: 0, into: &out)
    }

    mutating func retry(after delay: Delay, random: inout Random, now: Instant) {
        switch delay {
        case .none:
            backoff.reset()
            phase = .waiting(until: now)
        case .backoff: phase = .waiting(until: now + backoff.next(&random))
        }
        heartbeatAt = nil
    }

    /// Ends a wait: there is something new to try.
    mutating func endWait(now: Instant) { if case .waiting = phase { phase = .waiting(until: now) } }

    mutating func close() {
        phase = .idle
        heartbeatAt = nil
    }

    /// The controller has answered.
    mutating func answered() { backoff.reset() }

    /// Whether a session with this node is the one to use. It is the one that was asked for or, while waiting to ask
    /// again, one with any of `controllers`. A peer that has forgotten a session makes the next one itself.
    func accepts(_ node: NodeID, among controllers: [ControllerAddress]) -> Bool {
        switch phase {
        case .idle: false
        case .waiting: controllers.contains { $0.node == node }
        case .connecting, .connected, .up: self.node == node
        }
    }

    // MARK: - Heartbeats

    mutating func beat(at time: Instant) { heartbeatAt = time }

    // MARK: - The control stream

    /// All messages that have come, how many more could not be read, and whether the stream is over.
    mutating func receive(
        from endpoint: inout Endpoint, into out: inout MeshOutbox
    ) -> (messages: [ControlMessage], unreadable: Int, isOver: Bool) {
        guard case .up(var link, let session) = phase else { return ([], 0, false) }
        let before = link.unreadable
        let (messages, isOver) = link.receive(from: &endpoint, into: &out)
        phase = .up(link, session)
        return (messages, Int(link.unreadable - before), isOver)
    }

    mutating func send(_ message: ControlMessage, to endpoint: inout Endpoint) -> Bool {
        guard case .up(var link, let session) = phase else { return false }
        let isTaken = link.send(message, to: &endpoint)
        phase = .up(link, session)
        return isTaken
    }

    mutating func write(to endpoint: inout Endpoint) {
        guard case .up(var link, let session) = phase else { return }
        link.write(to: &endpoint)
        phase = .up(link, session)
    }

    // MARK: - Names

    /// A controller's place with the addresses of its names. These go first, since they are newer.
    func place(of controller: ControllerAddress) -> ControllerAddress {
        var place = controller
        var addresses: [SocketAddress] = []
        for address in names.addresses(of: controller.names) + controller.addresses
        where !addresses.contains(address) && addresses.count < Limits.addressesPerPeer {
            addresses.append(address)
        }
        place.addresses = addresses
        return place
    }

    mutating func resolveNames(of controller: ControllerAddress, now: Instant, into out: inout AgentOutbox) {
        let due = names.due(controller.names, now: now)
        if !due.isEmpty { out.actions.append(.resolve(due)) }
    }

    /// The resolver's answer. Returns whether it differs from the last one.
    mutating func resolved(_ name: HostPort, _ addresses: [IPAddress]) -> Bool { names.resolved(name, addresses) }
}
