import Base
import Mesh
import Wire

/// Pings that somebody waits for: a few at a time to a peer, answered when all came back or time is up.
struct PingBoard: Sendable {
    struct Job: Hashable, Sendable {
        let request: RequestID
        /// What the person asked for, and whose node that is, once that is known.
        let asked: LookUp
        var node: NodeID?
        var name: String?
        let count: Int
        let interval: Interval
        /// By one path only, as `PathReport.paths(called:)` has it.
        let via: String?
        var sent = 0
        var waiting: [Sent] = []
        var answers: [PingAnswer] = []
        /// The next ping, or the end of patience when all are sent.
        var next: Instant
        /// No session yet: given up at this time.
        var connectBy: Instant?
    }

    /// A ping that may still be answered.
    struct Sent: Hashable, Sendable {
        let token: UInt64
        let number: Int
    }

    /// What a look at the board has brought.
    struct Outcome {
        var answers: [(RequestID, PingView)] = []
        /// Their session did not come.
        var unreachable: [RequestID] = []
        /// The peer has no such path; with what there is.
        var pathless: [(RequestID, String)] = []
    }

    private(set) var jobs: [Job] = []
    private var nextToken: UInt64 = 1

    static let limit = 64
    static let patience = Interval.seconds(2)
    static let connectPatience = Interval.seconds(12)

    var isFull: Bool { jobs.count >= PingBoard.limit }
    var isEmpty: Bool { jobs.isEmpty }

    mutating func add(_ job: Job) { jobs.append(job) }

    var deadline: Deadline? {
        jobs.map { $0.connectBy ?? $0.next }.min().map { Deadline($0, "ping") }
    }

    mutating func connected(_ node: NodeID, name: String?, now: Instant) {
        for index in jobs.indices where jobs[index].node == node && jobs[index].connectBy != nil {
            jobs[index].connectBy = nil
            jobs[index].name = name
            jobs[index].next = now
        }
    }

    /// Whether somebody waits for this answer of the directory.
    func waits(for asked: LookUp) -> Bool { jobs.contains { $0.asked == asked && $0.connectBy != nil } }

    /// The directory's answer.
    mutating func found(_ asked: LookUp, _ node: NodeID, name: String) {
        for index in jobs.indices where jobs[index].asked == asked && jobs[index].connectBy != nil {
            jobs[index].node = node
            jobs[index].name = name
        }
    }

    /// Takes out the jobs that wait for a session which will not come.
    mutating func failed(_ node: NodeID) -> [RequestID] { takeWaiting { $0.node == node } }
    mutating func failed(_ asked: LookUp) -> [RequestID] { takeWaiting { $0.asked == asked } }

    private mutating func takeWaiting(where isMeant: (Job) -> Bool) -> [RequestID] {
        let lost = jobs.filter { $0.connectBy != nil && isMeant($0) }.map(\.request)
        jobs.removeAll { lost.contains($0.request) }
        return lost
    }

    /// `relay`: whose the path is that the answer came by.
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

    private mutating func send(_ index: Int, to node: NodeID, _ endpoint: inout Endpoint, now: Instant) -> String? {
        let isSent: Bool
        if let via = jobs[index].via, endpoint.isConnected(node), let report = endpoint.report(on: node, now: now) {
            let paths = report.paths(called: via)
            // It may go away while it is pinged, and then nothing is answered.
            if paths.isEmpty, jobs[index].sent == 0 { return "'\(via)': no path of the peer; \(report.pathNames)" }
            isSent = endpoint.ping(node, token: nextToken, by: paths, now: now)
        } else {
            isSent = endpoint.ping(node, token: nextToken, now: now)
        }
        jobs[index].sent += 1
        // Without a session the ping counts as sent and lost, which is what it is.
        if isSent { jobs[index].waiting.append(Sent(token: nextToken, number: jobs[index].sent)) }
        nextToken += 1
        return nil
    }

    /// Sends what is due, and takes out the jobs that are done.
    mutating func tick(_ endpoint: inout Endpoint, now: Instant) -> Outcome {
        var outcome = Outcome()
        for index in jobs.indices {
            if let connectBy = jobs[index].connectBy {
                if connectBy <= now { outcome.unreachable.append(jobs[index].request) }
                continue
            }
            // Only who is known is connected to.
            guard let node = jobs[index].node else { continue }
            if jobs[index].sent < jobs[index].count, jobs[index].next <= now {
                if let problem = send(index, to: node, &endpoint, now: now) {
                    outcome.pathless.append((jobs[index].request, problem))
                    continue
                }
                let isLast = jobs[index].sent == jobs[index].count
                jobs[index].next = now + (isLast ? PingBoard.patience : jobs[index].interval)
            }
            let job = jobs[index]
            if job.sent == job.count, job.next <= now || job.answers.count == job.count {
                let view = PingView(
                    node: node, name: job.name, sent: job.sent,
                    roundTripsMicroseconds: job.answers.map(\.roundTripMicroseconds), answers: job.answers)
                outcome.answers.append((job.request, view))
            }
        }
        let done = outcome.answers.map(\.0) + outcome.unreachable + outcome.pathless.map(\.0)
        jobs.removeAll { done.contains($0.request) }
        return outcome
    }
}
