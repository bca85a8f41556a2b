package import Base

/// # Port mapping
///
/// A router at home or in an office opens a port for a client that asks by PCP, NAT-PMP or UPnP. New peers reach a node with
/// such a port without hole punching, even where its NAT gives each conversation another port. `PortMapper` requests a
/// mapping, renews it, and deletes it at the end.
///
/// ```
///            place known                 granted                          stop
///   nowhere ────────────→ trying ─────────────────────→ mapped ──────────────────→ ending ──→ ended
///      ↑                    ↑ │ all refused               │ expired
///      │ no gateway         │ └──→ waiting 1 min…1 h ─┐   │
///      └── from anywhere    └─────────────────────────┴───┘
/// ```
///
/// One round asks by `PortControlClient` at once, and 500 ms later by `IGDClient` too, which costs more datagrams and some
/// kilobytes. The first mapping wins; the other is abandoned. The winner maintains the mapping: it renews it, and makes it
/// again when the gateway's epoch shows that the gateway has lost it. Whatever the gateway does, rounds begin at least five
/// seconds apart.
///
/// It speaks IPv4 only: IPv6 has no NATs, and a gateway's IPv6 address is link-local, which this project's addresses cannot
/// express. PCP keeps a mapping under a nonce; with the same nonce after a restart, the process takes over its former
/// mapping.
package struct PortMapper: Sendable {
    /// Where the node is. A new place starts everything again.
    package struct Place: Hashable, Sendable {
        package let gateway: IPAddress
        /// This node's address on the gateway's network.
        package let own: IPAddress

        /// Both addresses are IPv4.
        package init(gateway: IPAddress, own: IPAddress) {
            precondition(gateway.isIPv4 && own.isIPv4, "\(gateway), \(own)")
            self.gateway = gateway
            self.own = own
        }

        var controlAddress: SocketAddress { SocketAddress(gateway, PCP.serverPort) }
    }

    private enum Phase: Hashable, Sendable {
        case nowhere
        case trying(deviceAt: Instant)
        case mapped(isControl: Bool)
        case waiting(until: Instant)
        case ending(isControl: Bool)
        case ended
    }

    private var phase = Phase.nowhere
    private let port: UInt16
    private let nonce: [UInt8]
    private var random: Random
    private var place: Place?
    private var control: PortControlClient?
    private var device: IGDClient?
    private var lastCallID: UInt64 = 0
    private var failures: Int64 = 0
    private var roundAt: Instant?
    private var problem: String?

    private static let deviceDelay = Interval.milliseconds(500)
    private static let leastGap = Interval.seconds(5)
    private static let firstPause = Interval.minutes(1)
    private static let longestPause = Interval.minutes(60)

    /// `port`: the UDP port that is to be reached. `nonce`: 12 secret bytes, the same for the same node. `random` spreads the
    /// requests of many nodes in time.
    package init(port: UInt16, nonce: [UInt8], random: Random) {
        precondition(nonce.count == PCP.nonceBytes, "a nonce of \(nonce.count) bytes")
        self.port = port
        self.nonce = nonce
        self.random = random
    }

    /// All work is done: after `stop`.
    package var isEnded: Bool { phase == .ended }

    /// A round has failed, and the next one waits.
    package var isResting: Bool { if case .waiting = phase { true } else { false } }

    /// Where others reach this node: the mapping's external address.
    package var external: SocketAddress? {
        guard case .mapped(let isControl) = phase else { return nil }
        return isControl ? control?.grant?.external : device?.grant?.external
    }

    package var deadline: Deadline? {
        let at: Instant?
        switch phase {
        case .nowhere, .ended: return nil
        case .trying(let deviceAt):
            let waiting = device?.phase == .idle ? deviceAt : nil
            at = [control?.deadline, device?.deadline, waiting].compactMap { $0 }.min()
        case .mapped, .ending: at = [control?.deadline, device?.deadline].compactMap { $0 }.min()
        case .waiting(let until): at = until
        }
        return at.map { Deadline($0, "port mapping") }
    }

    // MARK: - Inputs

    /// The node's new place; `nil` where a mapping is not useful.
    package mutating func moved(to place: Place?, now: Instant, into out: inout PortMapperOutbox) {
        guard place != self.place, !isEnding else { return }
        // A mapping without an end would lead to the old address forever, and occupy the port.
        if case .mapped(false) = phase, place?.gateway == self.place?.gateway { device?.end(now: now, into: &out) }
        self.place = place
        failures = 0
        problem = nil
        guard place != nil else {
            forget()
            phase = .nowhere
            return
        }
        beginRound(now: now, into: &out)
    }

    /// A datagram to the socket that sends `PortMapperOutbox.datagrams`, or to the port of announcements. Only the gateway's
    /// datagrams are accepted.
    package mutating func received(
        _ bytes: [UInt8], from remote: SocketAddress, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard let place, remote.ip == place.gateway else { return }
        if remote.port == PCP.serverPort {
            control?.received(bytes, &random, now: now, into: &out)
        } else {
            device?.received(bytes, now: now, into: &out)
        }
        settle(now: now, into: &out)
    }

    package mutating func answered(
        _ request: UInt64, _ answer: PortMapperAnswer, now: Instant, into out: inout PortMapperOutbox
    ) {
        device?.answered(request, answer, now: now, into: &out)
        settle(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout PortMapperOutbox) {
        switch phase {
        case .nowhere, .ended: return
        case .waiting(let until): if until <= now { beginRound(now: now, into: &out) }
        case .trying(let deviceAt): if deviceAt <= now, device?.phase == .idle { device?.begin(now: now, into: &out) }
        case .mapped, .ending: break
        }
        control?.tick(&random, now: now, into: &out)
        device?.tick(now: now, into: &out)
        settle(now: now, into: &out)
    }

    /// Deletes the mapping. The caller waits for `isEnded`, and decides for how long.
    package mutating func stop(now: Instant, into out: inout PortMapperOutbox) {
        switch phase {
        case .nowhere, .waiting, .ended: phase = .ended
        case .ending: return
        case .mapped(let isControl): end(isControl: isControl, now: now, into: &out)
        case .trying:
            // A request in flight may still be granted.
            let isDeviceIdle = device?.phase == .idle || device?.phase == .searching
            device?.abandon()
            end(isControl: isDeviceIdle, now: now, into: &out)
        }
        settle(now: now, into: &out)
    }

    private var isEnding: Bool {
        switch phase {
        case .ending, .ended: true
        case .nowhere, .trying, .mapped, .waiting: false
        }
    }

    private mutating func end(isControl: Bool, now: Instant, into out: inout PortMapperOutbox) {
        phase = .ending(isControl: isControl)
        if isControl {
            control?.end(&random, now: now, into: &out)
        } else {
            device?.end(now: now, into: &out)
        }
    }

    // MARK: - Rounds

    private mutating func beginRound(now: Instant, into out: inout PortMapperOutbox) {
        guard let place else { return }
        if let roundAt, now < roundAt + PortMapper.leastGap {
            forget()
            phase = .waiting(until: roundAt + PortMapper.leastGap)
            return
        }
        forget()
        roundAt = now
        phase = .trying(deviceAt: now + PortMapper.deviceDelay)
        var control = PortControlClient(at: place, port: port, nonce: nonce)
        control.begin(&random, now: now, into: &out)
        self.control = control
        device = IGDClient(at: place, port: port, lastID: lastCallID, random: random.split())
    }

    private mutating func forget() {
        if let device { lastCallID = max(lastCallID, device.highestID) }
        (control, device) = (nil, nil)
    }

    /// Evaluates the state of the two clients.
    private mutating func settle(now: Instant, into out: inout PortMapperOutbox) {
        switch phase {
        case .trying(let deviceAt):
            if control?.phase == .mapped {
                device?.abandon()
                won(isControl: true)
            } else if device?.phase == .mapped {
                control?.abandon()
                won(isControl: false)
            } else if case .failed(let first) = control?.phase, now >= deviceAt,
                case .failed(let second) = device?.phase
            {
                problem = "\(first); \(second)"
                pause(now: now)
            }
        case .mapped(let isControl):
            let state = isControl ? control?.phase.failure : device?.phase.failure
            guard let state else { return }
            problem = state
            beginRound(now: now, into: &out)
        case .ending(let isControl):
            if isControl ? control?.phase == .ended : device?.phase == .ended { phase = .ended }
        case .nowhere, .waiting, .ended: return
        }
    }

    private mutating func won(isControl: Bool) {
        phase = .mapped(isControl: isControl)
        failures = 0
        problem = nil
    }

    private mutating func pause(now: Instant) {
        forget()
        let pause = min(PortMapper.firstPause * Int64(1 << min(failures, 6)), PortMapper.longestPause)
        failures += 1
        phase = .waiting(until: now + random.jittered(pause, percent: 10))
    }

    // MARK: - Status for people

    package func status(now: Instant) -> PortMappingStatus {
        var status = PortMappingStatus(internalPort: port, gateway: place?.gateway, problem: problem)
        switch phase {
        case .nowhere: status.problem = problem ?? "this node has no gateway that could map a port"
        case .trying: status.problem = problem ?? "the gateway is being asked"
        case .waiting, .ending, .ended: break
        case .mapped(true):
            guard let grant = control?.grant else { break }
            status.protocol = grant.isPCP ? .pcp : .natPMP
            status.external = grant.external
            status.lifetime = max(.zero, grant.expiresAt - now)
        case .mapped(false):
            guard let grant = device?.grant else { break }
            status.protocol = .upnp
            status.external = grant.external
            status.lifetime = grant.leaseSeconds == 0 ? nil : max(.zero, grant.expiresAt - now)
        }
        if let external = status.external, external.ip.isOfPrivateNetwork4 {
            status.problem = "behind a second NAT: only nodes behind that one reach the address"
        }
        return status
    }
}

extension PortControlClient.Phase {
    fileprivate var failure: String? { if case .failed(let why) = self { why } else { nil } }
}

extension IGDClient.Phase {
    fileprivate var failure: String? { if case .failed(let why) = self { why } else { nil } }
}
