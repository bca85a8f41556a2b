import Base
import Mesh
import Wire

/// # Measuring the throughput to a peer
///
/// A user of this node measures the path to a peer. The peer is found, asked for a server on a stream
/// (`BenchRequest`), and its answer goes to the person. The measuring itself is done by programs, over the overlay.
///
/// ```
///  finding ── session ──→ asking ── answer ──→ replied
/// ```
///
/// Every state ends by itself, and `Limits.benchJobs` limits how many there may be.
struct ThroughputJobs: Sendable {
    private enum Stage: Hashable {
        /// The finder looks for the peer.
        case finding
        /// There is a session, and no stream could be opened. The limit of a thousand streams is hardly ever reached.
        case waiting(until: Instant)
        case asking(StreamID, until: Instant)
    }

    private struct Job: Sendable {
        let id: RequestID
        let seconds: UInt8
        /// When a job that has no stream ends.
        let askBy: Instant
        var stage = Stage.finding
        var node: NodeID?
        var name: String?
        /// Of the answer.
        var bytes: [UInt8] = []

        var until: Instant? {
            switch stage {
            case .finding: nil
            case .waiting(let until), .asking(_, let until): until
            }
        }
    }

    private var jobs: [Job] = []

    /// For a session, as with pings.
    private static let findPatience = PingQueue.findPatience
    /// For an answer: the peer starts a program.
    private static let answerPatience = Interval.seconds(8)

    var isFull: Bool { jobs.count >= Limits.benchJobs }

    var deadline: Deadline? { jobs.compactMap(\.until).min().map { Deadline($0, "bench") } }

    /// Asks a peer for a server of so many seconds. It is found first where there is no session with it. `known`: its name.
    mutating func begin(
        seconds: UInt8, _ id: RequestID, to asked: LookUp, known: String?, finder: inout PeerFinder,
        core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        let patience = ThroughputJobs.findPatience
        var job = Job(id: id, seconds: seconds, askBy: now + patience.total, name: known)
        if case .node(let node) = asked, core.endpoint.value.isConnected(node) {
            job.node = node
            job.stage = .waiting(until: job.askBy)
            jobs.append(job)
            return connected(node, core: &core, now: now)
        }
        let search = PeerFinder.Request(
            purpose: .throughput(id), asked: asked, name: known, goal: .session, patience: patience)
        if let failure = finder.begin(search, core: &core, now: now) { return out.refuse(id, failure.error) }
        jobs.append(job)
    }

    /// Peers that were found, or not.
    mutating func apply(
        _ results: [PeerFinder.Result], core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        for result in results {
            guard case .throughput(let id) = result.purpose, let index = jobs.firstIndex(where: { $0.id == id }) else {
                continue
            }
            switch result.outcome {
            case .found(let node, let name):
                jobs[index].node = node
                jobs[index].name = name
                jobs[index].stage = .waiting(until: jobs[index].askBy)
                connected(node, core: &core, now: now)
            case .failed(let failure):
                jobs.remove(at: index)
                out.refuse(id, failure.error)
            case .relays: break
            }
        }
    }

    /// There is a session with `node`: those that wait for it ask.
    mutating func connected(_ node: NodeID, core: inout AgentCore, now: Instant) {
        for index in jobs.indices where jobs[index].node == node {
            guard case .waiting = jobs[index].stage, let stream = core.endpoint.value.openStream(to: node) else {
                continue
            }
            // A new stream has room for eight bytes.
            _ = core.endpoint.value.write(BenchRequest(seconds: jobs[index].seconds).encoded(), to: stream, of: node)
            core.endpoint.value.finish(stream, of: node)
            jobs[index].name = core.endpoint.value.certificate(of: node)?.name
            jobs[index].stage = .asking(stream, until: now + ThroughputJobs.answerPatience)
        }
    }

    /// With the session its streams are gone.
    mutating func disconnected(_ node: NodeID, into out: inout AgentOutbox) {
        let isLost = { (job: Job) in
            if case .asking = job.stage { job.node == node } else { false }
        }
        for job in jobs where isLost(job) {
            out.refuse(job.id, .unavailable, "the session with \(node.short) has ended")
        }
        jobs.removeAll(where: isLost)
    }

    func owns(_ stream: StreamID, of node: NodeID) -> Bool { index(of: stream, node) != nil }

    private func index(of stream: StreamID, _ node: NodeID) -> Int? {
        jobs.firstIndex { job in
            if case .asking(stream, _) = job.stage { job.node == node } else { false }
        }
    }

    /// The peer has given the stream up.
    mutating func lost(_ stream: StreamID, of node: NodeID, into out: inout AgentOutbox) {
        guard let index = index(of: stream, node) else { return }
        let job = jobs.remove(at: index)
        let why = "\(job.name ?? node.short) does not permit measurements (asterismd --bench)"
        out.refuse(job.id, .refused, why)
    }

    mutating func service(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        guard let deadline, deadline.at <= now else { return }
        let isOver = { (job: Job) in job.until.map { $0 <= now } ?? false }
        for job in jobs where isOver(job) {
            if case .asking(let stream, _) = job.stage, let node = job.node {
                core.endpoint.value.reset(stream, of: node, code: 0, into: &out.mesh)
                out.refuse(job.id, .timeout, "\(job.name ?? node.short) does not answer")
            } else {
                out.refuse(job.id, PeerFinder.Failure.timeout.error)
            }
        }
        jobs.removeAll(where: isOver)
    }

    // MARK: - The answer

    /// The peer has written to the stream.
    mutating func readable(
        _ stream: StreamID, of node: NodeID, core: inout AgentCore, into out: inout AgentOutbox
    ) {
        guard let index = index(of: stream, node) else { return }
        let room = BenchAnswer.size + 1 - jobs[index].bytes.count
        let read = core.endpoint.value.read(stream, of: node, limit: room, into: &out.mesh)
        jobs[index].bytes += read.bytes
        guard read.isFinished || jobs[index].bytes.count > BenchAnswer.size else { return }
        let job = jobs.remove(at: index)
        if !read.isFinished { core.endpoint.value.reset(stream, of: node, code: 1, into: &out.mesh) }
        let who = job.name ?? node.short
        let answer: BenchAnswer
        do throws(DecodeError) {
            var reader = ByteReader(job.bytes.span.bytes)
            answer = try BenchAnswer(reading: &reader)
        } catch {
            core.counters.add(.messagesUnreadable)
            return out.refuse(job.id, .refused, "\(who) gave an answer that cannot be read")
        }
        switch answer {
        case .refused(.busy): out.refuse(job.id, .unavailable, "\(who) is already being measured by others")
        case .refused(.noOverlay): out.refuse(job.id, .unavailable, "\(who) has no network interface of the overlay")
        case .refused(.failed): out.refuse(job.id, .unavailable, "\(who) cannot start its server")
        case .serving(let server): report(server, job, node, core.endpoint.value.certificate(of: node), into: &out)
        }
    }

    private func report(
        _ server: BenchAnswer.Server, _ job: Job, _ node: NodeID, _ certificate: Certificate?,
        into out: inout AgentOutbox
    ) {
        // The server's address follows from the peer's certificate: an answer that could name addresses could direct
        // this node at a third party.
        let addresses = certificate?.overlayAddresses ?? []
        guard let address = addresses.first(where: { $0.isIPv4 == server.isIPv4 }) else {
            let why = "\(job.name ?? node.short) listens at an address that it does not have"
            return out.refuse(job.id, .refused, why)
        }
        let view = BenchView(
            node: node, name: job.name, address: address, tcpPort: Int(server.tcpPort), udpPort: Int(server.udpPort),
            token: server.token.hex, seconds: Int64(job.seconds))
        out.reply(job.id, BenchStart.reply(view))
    }
}
