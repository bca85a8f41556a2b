import Base
import Mesh
import Wire

/// Requests to ping a peer. A request is answered when all its pings are answered or its time is over.
struct PingQueue: Sendable {
    /// What a person asked for, checked.
    struct Request {
        let count: Int
        let interval: Interval
        /// By one path only, as `PathReport.paths(called:)` has it.
        let via: String?
    }

    private struct Job: Sendable {
        let number: UInt64
        let id: RequestID
        let request: Request
        /// `nil` until the finder has found it.
        var node: NodeID?
        var name: String?
        var sent = 0
        var waiting: [Sent] = []
        var answers: [PingAnswer] = []
        /// The next ping, or the end of patience when all are sent.
        var next: Instant
    }

    /// A ping that may still be answered.
    private struct Sent: Sendable {
        let token: UInt64
        let number: Int
    }

    private enum End {
        case answered(PingView)
        /// The peer has no such path; the text lists those that it has.
        case noPath(String)
    }

    private var jobs: [Job] = []
    private var lastNumber: UInt64 = 0
    private var nextToken: UInt64 = 1

    static let limit = 64
    private static let patience = Interval.seconds(2)
    /// One question to the directory; it and the session have twelve seconds.
    static let findPatience = PeerFinder.Patience(total: .seconds(12), controller: nil, answers: [.seconds(12)])

    var isFull: Bool { jobs.count >= PingQueue.limit }

    /// Those whose peer is being found have the finder's deadline.
    var deadline: Deadline? {
        jobs.lazy.filter { $0.node != nil }.map(\.next).min().map { Deadline($0, "ping") }
    }

    /// Pings a peer, which is found first where there is no session with it. `known`: its name.
    mutating func begin(
        _ request: Request, _ id: RequestID, to asked: LookUp, known: String?, finder: inout PeerFinder,
        core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        lastNumber += 1
        var job = Job(number: lastNumber, id: id, request: request, name: known, next: now)
        if case .node(let node) = asked, core.endpoint.value.isConnected(node) {
            job.node = node
        } else {
            let search = PeerFinder.Request(
                purpose: .ping(job.number), asked: asked, name: known, goal: .session, patience: PingQueue.findPatience)
            if let failure = finder.begin(search, core: &core, now: now) { return out.refuse(id, failure.error) }
        }
        jobs.append(job)
    }

    /// Peers that were found, or not.
    mutating func apply(
        _ results: [PeerFinder.Result], finder: inout PeerFinder, now: Instant, into out: inout AgentOutbox
    ) {
        var done: [RequestID] = []
        for result in results {
            guard case .ping(let number) = result.purpose,
                let index = jobs.firstIndex(where: { $0.number == number })
            else { continue }
            switch result.outcome {
            case .found(let node, let name):
                jobs[index].node = node
                jobs[index].name = name
                jobs[index].next = now
            case .failed(let failure):
                out.refuse(jobs[index].id, failure.error)
                done.append(jobs[index].id)
            case .relays: break
            }
        }
        remove(done, finder: &finder)
    }

    /// A request that was made twice ends for both when it ends for one.
    private mutating func remove(_ done: [RequestID], finder: inout PeerFinder) {
        guard !done.isEmpty else { return }
        for job in jobs where done.contains(job.id) { finder.cancel(.ping(job.number)) }
        jobs.removeAll { done.contains($0.id) }
    }

    /// A pong has come. `relay`: whose the path is that it came by.
    mutating func pong(token: UInt64, roundTrip: Interval, by path: PathAddress, relay: String?) {
        guard let index = jobs.firstIndex(where: { $0.waiting.contains { $0.token == token } }),
            let place = jobs[index].waiting.firstIndex(where: { $0.token == token })
        else { return }
        jobs[index].answers.append(
            PingAnswer(
                number: jobs[index].waiting.remove(at: place).number,
                roundTripMicroseconds: roundTrip.nanoseconds / 1000, address: path.remote, isRelayed: path.isRelayed,
                relay: relay, isTCP: path.isTCP))
    }

    /// Sends what is due, and answers those who have waited for the last pong.
    mutating func service(
        finder: inout PeerFinder, endpoint: inout Endpoint, now: Instant, into out: inout AgentOutbox
    ) {
        var answered: [(RequestID, PingView)] = [], pathless: [(RequestID, String)] = []
        for index in jobs.indices {
            switch serve(index, &endpoint, now: now) {
            case .answered(let view): answered.append((jobs[index].id, view))
            case .noPath(let problem): pathless.append((jobs[index].id, problem))
            case nil: break
            }
        }
        for (id, view) in answered { out.reply(id, PingPeer.reply(view)) }
        for (id, problem) in pathless { out.refuse(id, .notFound, problem, field: "via") }
        remove(answered.map(\.0) + pathless.map(\.0), finder: &finder)
    }

    private mutating func serve(_ index: Int, _ endpoint: inout Endpoint, now: Instant) -> End? {
        guard let node = jobs[index].node else { return nil }
        let request = jobs[index].request
        if jobs[index].sent < request.count, jobs[index].next <= now {
            if let problem = send(index, to: node, &endpoint, now: now) { return .noPath(problem) }
            let isLast = jobs[index].sent == request.count
            jobs[index].next = now + (isLast ? PingQueue.patience : request.interval)
        }
        let job = jobs[index]
        guard job.sent == request.count, job.next <= now || job.answers.count == request.count else { return nil }
        return .answered(
            PingView(
                node: node, name: job.name, sent: job.sent,
                roundTripsMicroseconds: job.answers.map(\.roundTripMicroseconds), answers: job.answers))
    }

    /// Returns the reason where the peer has no such path.
    private mutating func send(_ index: Int, to node: NodeID, _ endpoint: inout Endpoint, now: Instant) -> String? {
        let isSent: Bool
        if let via = jobs[index].request.via, endpoint.isConnected(node),
            let report = endpoint.report(on: node, now: now)
        {
            let paths = report.paths(called: via)
            // The path may disappear while it is pinged. Then nothing is answered.
            if paths.isEmpty, jobs[index].sent == 0 { return "'\(via)': no path of the peer; \(report.pathNames)" }
            isSent = endpoint.ping(node, token: nextToken, by: paths, now: now)
        } else {
            isSent = endpoint.ping(node, token: nextToken, now: now)
        }
        jobs[index].sent += 1
        // Without a session the ping counts as sent and lost.
        if isSent { jobs[index].waiting.append(Sent(token: nextToken, number: jobs[index].sent)) }
        nextToken += 1
        return nil
    }
}
