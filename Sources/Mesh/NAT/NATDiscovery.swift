package import Base
import Noise

/// # NAT discovery
///
/// A node learns which NATs are before it by asking servers outside how they see it (RFC 5780), once per node and not once
/// per peer. A discovery has five sockets of its own, so that it opens no NAT mapping of the mesh's socket:
///
/// ```
///  socket 0 ── who am I? ──→ every server                 UDP at all, the reflexive address
///           ── who am I? ──→ S', S'':                     the mapping (section 4.3)
///  socket 1..4 ─ who am I? ─→ S                           in this order: how ports are allotted
///  socket 1 ── answer me from S''! ──→ S                  the filter (section 4.4): does it let in another address,
///  socket 2 ── answer me from S's other port! ──→ S       ... another port of the same one?
///  socket 0 ←── their outside addresses ──→ socket 4      hairpin
/// ```
///
/// S is the first server with a second address (S' with the first port, S'' with the second); without one nothing is known of
/// filters, and the mapping is known only where several servers can be compared. Silence counts as a result only if an answer
/// was to be expected: the filter is judged only if S'' answers when it is asked directly.
///
/// A discovery lasts as long as the timeouts of missing answers: three seconds for each step, nine at most. Measuring the
/// lifetime of mappings takes minutes and is done separately by `LifetimeDiscovery`.
package struct NATDiscovery: ~Copyable {
    /// Sockets that the driver opens, numbered from 0; datagrams name them by these numbers.
    package static let sockets = 5
    /// The maximum of servers that are asked; more would add nothing.
    package static let serverLimit = 8

    private enum Purpose: Hashable {
        /// The server at this index.
        case find(Int)
        /// From this socket, 1 to 4.
        case base(UInt16)
        case secondAddress, secondBoth
        case changeBoth, changePort
        case hairpin
    }

    private enum Phase: Hashable {
        case finding
        /// With the server at this index.
        case examining(Int)
        case done
    }

    /// The result of asking the server to answer from another address or port.
    private enum Change: Hashable {
        case pending, answered, silent, notServed
    }

    private struct Observation {
        var remote: SocketAddress
        private(set) var mapped: SocketAddress
    }

    private var transactions: STUNTransactions<Purpose>
    private let own: [IPAddress]
    private let ports: [UInt16]
    private var phase = Phase.finding
    private var servers: [NATFindings.Server]
    /// What servers saw of socket 0.
    private var observations: [Observation] = []
    /// By socket, as seen by S.
    private var bases: [SocketAddress?]
    private var changeBoth = Change.pending
    private var changePort = Change.pending
    private var isOtherAlive = false
    private var hairpin: NATFinding<Bool> = .unknown(.pending)

    /// Begins at once. `servers` are of one family; `own` are this machine's addresses, `ports` those of the sockets.
    /// `seed` must be fresh: it determines the transaction ids, which must be unique.
    package init(
        servers: [SocketAddress], own: [IPAddress], ports: [UInt16], seed: Seed, now: Instant,
        into out: inout DatagramBatch
    ) {
        precondition(ports.count == NATDiscovery.sockets, "\(ports.count) sockets")
        transactions = STUNTransactions(seed)
        self.own = own
        self.ports = ports
        self.servers = servers.prefix(NATDiscovery.serverLimit).map { NATFindings.Server(address: $0) }
        bases = Array(repeating: nil, count: ports.count)
        for (place, server) in self.servers.enumerated() {
            transactions.ask(.find(place), from: 0, to: server.address, now: now, into: &out)
        }
        advance(now: now, into: &out)
    }

    package var isDone: Bool { phase == .done }

    package var deadline: Deadline? {
        transactions.deadline.map { Deadline($0, "NAT discovery: an answer") }
    }

    // MARK: - What happens

    /// Handles the datagrams of the discovery's sockets. All that are not answers to its requests are ignored.
    package mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout DatagramBatch) {
        for index in 0..<batch.count {
            let entry = batch.entries[index]
            take(batch.bytes(at: index), on: entry.socket, from: entry.remote, now: now, into: &out)
        }
        advance(now: now, into: &out)
    }

    /// An ICMP error came back about datagrams to that address.
    package mutating func unreachable(_ remote: SocketAddress, now: Instant, into out: inout DatagramBatch) {
        for question in transactions.finish(to: remote) {
            if case .find(let place) = question.purpose { servers[place].outcome = .unreachable }
            unanswered(question.purpose)
        }
        advance(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout DatagramBatch) {
        for question in transactions.tick(now: now, into: &out) { unanswered(question.purpose) }
        advance(now: now, into: &out)
    }

    private mutating func take(
        _ bytes: [UInt8], on socket: UInt16, from remote: SocketAddress, now: Instant, into out: inout DatagramBatch
    ) {
        guard let message = try? STUNMessage(decoding: bytes),
            let question = transactions.pending.first(where: { $0.id == message.transaction })
        else { return }
        switch message.messageClass {
        case .request:
            // A request of this node that came back to another of its sockets.
            guard question.purpose == .hairpin, socket != question.socket else { return }
            hairpin = .known(true)
        case .success:
            guard socket == question.socket, message.unknownRequired.isEmpty, let mapped = message.mapped,
                isExpected(remote, of: question)
            else { return }
            answered(question, message, mapped, from: remote, now: now, into: &out)
        case .error:
            guard socket == question.socket, remote == question.remote, let error = message.error else { return }
            if case .find(let place) = question.purpose { servers[place].outcome = .refused(code: error.code) }
            refused(question.purpose)
        case .indication: return
        }
        _ = transactions.finish(message.transaction)
    }

    /// The asked server answers, unless another address of it was to answer.
    private func isExpected(_ remote: SocketAddress, of question: STUNTransactions<Purpose>.Pending) -> Bool {
        switch question.purpose {
        case .find, .base, .secondAddress, .secondBoth: remote == question.remote
        case .changeBoth, .changePort: remote.ip == question.remote.ip || remote.ip == examined?.other?.ip
        case .hairpin: false
        }
    }

    private mutating func answered(
        _ question: STUNTransactions<Purpose>.Pending, _ message: STUNMessage, _ mapped: SocketAddress,
        from remote: SocketAddress, now: Instant, into out: inout DatagramBatch
    ) {
        switch question.purpose {
        case .find(let place):
            let trip = question.isSentOnce ? now - question.startedAt : nil
            servers[place].outcome = .answered(mapped, roundTrip: trip)
            servers[place].software = message.software
            // Section 7.4: both address and port must differ, or it is not usable.
            servers[place].other = message.otherAddress.flatMap { other in
                let address = question.remote
                return other.ip != address.ip && other.port != address.port && other.ip.isIPv4 == address.ip.isIPv4
                    ? other : nil
            }
            observations.append(Observation(remote: remote, mapped: mapped))
        case .base(let socket):
            bases[Int(socket)] = mapped
            follow(socket, now: now, into: &out)
        case .secondAddress, .secondBoth:
            isOtherAlive = true
            observations.append(Observation(remote: remote, mapped: mapped))
        case .changeBoth: changeBoth = remote == examined?.other ? .answered : .notServed
        case .changePort: changePort = remote.port == examined?.other?.port ? .answered : .notServed
        case .hairpin: break
        }
    }

    private mutating func unanswered(_ purpose: Purpose) {
        switch purpose {
        case .find(let place): if servers[place].outcome == .pending { servers[place].outcome = .silent }
        case .changeBoth: changeBoth = .silent
        case .changePort: changePort = .silent
        case .hairpin: if hairpin.value == nil { hairpin = .known(false) }
        case .base, .secondAddress, .secondBoth: break
        }
    }

    private mutating func refused(_ purpose: Purpose) {
        switch purpose {
        case .changeBoth: changeBoth = .notServed
        case .changePort: changePort = .notServed
        case .find, .base, .secondAddress, .secondBoth, .hairpin: break
        }
    }

    // MARK: - Steps

    private var examined: NATFindings.Server? {
        if case .examining(let place) = phase { servers[place] } else { nil }
    }

    private mutating func advance(now: Instant, into out: inout DatagramBatch) {
        if phase == .finding, let place = candidate { examine(place, now: now, into: &out) }
        if transactions.isEmpty, phase != .done { finish() }
    }

    /// The server to examine with: the first that has a second address; once all have answered or were given up, the first
    /// that answered.
    private var candidate: Int? {
        if let place = servers.firstIndex(where: { $0.other != nil }) { return place }
        guard !servers.contains(where: { $0.outcome == .pending }) else { return nil }
        return servers.firstIndex { if case .answered = $0.outcome { true } else { false } }
    }

    private mutating func examine(_ place: Int, now: Instant, into out: inout DatagramBatch) {
        phase = .examining(place)
        let server = servers[place]
        for socket in 1..<UInt16(NATDiscovery.sockets) {
            transactions.ask(.base(socket), from: socket, to: server.address, now: now, into: &out)
        }
        guard let other = server.other else { return }
        let sibling = SocketAddress(other.ip, server.address.port)
        transactions.ask(.secondAddress, from: 0, to: sibling, now: now, into: &out)
        transactions.ask(.secondBoth, from: 0, to: other, now: now, into: &out)
    }

    /// A socket's mapping is known; its purpose can be tried.
    private mutating func follow(_ socket: UInt16, now: Instant, into out: inout DatagramBatch) {
        guard let server = examined else { return }
        if socket == 1, server.other != nil {
            let change = STUNMessage.Attribute.changeRequest(address: true, port: true)
            transactions.ask(.changeBoth, [change], from: 1, to: server.address, now: now, into: &out)
        }
        if socket == 2, server.other != nil {
            let change = STUNMessage.Attribute.changeRequest(address: false, port: true)
            transactions.ask(.changePort, [change], from: 2, to: server.address, now: now, into: &out)
        }
        if socket == 4, let far = bases[4], let near = reflexive(of: server), !isOwn(near) {
            transactions.ask(.hairpin, from: 0, to: far, now: now, into: &out)
            transactions.ask(.hairpin, from: 4, to: near, now: now, into: &out)
        }
    }

    /// No request is open.
    private mutating func finish() {
        lastExamined = examined
        phase = .done
        if hairpin == .unknown(.pending) { hairpin = .unknown(.noAnswer) }
        if changeBoth == .pending { changeBoth = .silent }
        if changePort == .pending { changePort = .silent }
    }
    private var lastExamined: NATFindings.Server?
}

// MARK: - Conclusions

extension NATDiscovery {
    /// What is known by now.
    package var findings: NATFindings {
        NATFindings(
            servers: servers, udp: udp, reflexive: reflexive, mapping: mapping, filtering: filtering,
            ports: allocation, hairpin: hasNoNAT ? .unknown(.noNAT) : hairpin)
    }

    private var reflexive: SocketAddress? { observations.first?.mapped }

    private func reflexive(of server: NATFindings.Server) -> SocketAddress? {
        observations.first { $0.remote == server.address }?.mapped
    }

    private func isOwn(_ mapped: SocketAddress) -> Bool { own.contains(mapped.ip) && mapped.port == ports[0] }
    private var hasNoNAT: Bool { !observations.isEmpty && observations.allSatisfy { isOwn($0.mapped) } }

    private var udp: NATFinding<Bool> {
        if !observations.isEmpty { return .known(true) }
        if servers.isEmpty { return .unknown(.noAnswer) }
        // The answer is not usable, but it arrived.
        if servers.contains(where: { if case .refused = $0.outcome { true } else { false } }) { return .known(true) }
        return servers.contains { $0.outcome == .pending } ? .unknown(.pending) : .known(false)
    }

    private var mapping: NATFinding<NATFindings.Mapping> {
        if hasNoNAT { return .known(.none) }
        guard isDone else { return .unknown(.pending) }
        guard let first = observations.first else { return .unknown(.noAnswer) }
        let isOneAddress = observations.allSatisfy { $0.remote.ip == first.remote.ip }
        if observations.allSatisfy({ $0.mapped == first.mapped }) {
            if !isOneAddress { return .known(.endpointIndependent) }
            return .unknown(lastExamined?.other == nil ? .oneAddress : .otherIsSilent)
        }
        var isCompared = false
        for observation in observations {
            let same = observations.filter { $0.remote.ip == observation.remote.ip }
            if same.contains(where: { $0.mapped != observation.mapped }) { return .known(.addressAndPortDependent) }
            isCompared = isCompared || same.count > 1
        }
        return .known(isCompared ? .addressDependent : .dependent)
    }

    private var filtering: NATFinding<NATFindings.Filtering> {
        if changeBoth == .answered { return .known(.endpointIndependent) }
        guard isDone else { return .unknown(.pending) }
        guard let lastExamined else { return .unknown(.noAnswer) }
        guard lastExamined.other != nil else { return .unknown(.noOtherAddress) }
        if changeBoth == .notServed || changePort == .notServed { return .unknown(.notServed) }
        guard bases[1] != nil, bases[2] != nil else { return .unknown(.noAnswer) }
        guard isOtherAlive else { return .unknown(.otherIsSilent) }
        return .known(changePort == .answered ? .addressDependent : .addressAndPortDependent)
    }

    private var allocation: NATFinding<NATFindings.Ports> {
        if hasNoNAT { return .unknown(.noNAT) }
        let seen = bases.indices.dropFirst().compactMap { socket in
            bases[socket].map { (inside: Int(ports[socket]), outside: Int($0.port)) }
        }
        guard isDone || seen.count == ports.count - 1 else { return .unknown(.pending) }
        guard seen.count >= 3 else { return .unknown(observations.isEmpty ? .noAnswer : .tooFew) }
        // One of the ports may be in use outside by another host.
        if seen.count(where: { $0.inside == $0.outside }) * 2 > seen.count { return .known(.preserving) }
        let steps = zip(seen, seen.dropFirst()).map { $1.outside - $0.outside }.sorted()
        let reach = NATDiscovery.longestStep
        guard steps.allSatisfy({ 1...reach ~= $0 }) || steps.allSatisfy({ -reach ... -1 ~= $0 }) else {
            return .known(.random)
        }
        return .known(.sequential(step: steps[steps.count / 2]))
    }

    /// Random ports make three steps this short in one direction only once in a thousand million times.
    private static let longestStep = 32
}
