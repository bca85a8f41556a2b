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
        var sent = 0
        var tokens: [UInt64] = []
        var roundTrips: [Int64] = []
        /// The next ping, or the end of patience when all are sent.
        var next: Instant
        /// No session yet: given up at this time.
        var connectBy: Instant?
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

    mutating func pong(token: UInt64, roundTrip: Interval) {
        guard let index = jobs.firstIndex(where: { $0.tokens.contains(token) }) else { return }
        jobs[index].tokens.removeAll { $0 == token }
        jobs[index].roundTrips.append(roundTrip.nanoseconds / 1000)
    }

    /// Sends what is due; hands back the answers that are complete, and the requests whose session did not come.
    mutating func tick(
        _ endpoint: inout Endpoint, now: Instant
    ) -> (answers: [(RequestID, PingView)], unreachable: [RequestID]) {
        var answers: [(RequestID, PingView)] = [], unreachable: [RequestID] = []
        for index in jobs.indices {
            if let connectBy = jobs[index].connectBy {
                if connectBy <= now { unreachable.append(jobs[index].request) }
                continue
            }
            // Only who is known is connected to.
            guard let node = jobs[index].node else { continue }
            if jobs[index].sent < jobs[index].count, jobs[index].next <= now {
                // Without a session the ping counts as sent and lost, which is what it is.
                if endpoint.ping(node, token: nextToken, now: now) { jobs[index].tokens.append(nextToken) }
                nextToken += 1
                jobs[index].sent += 1
                let isLast = jobs[index].sent == jobs[index].count
                jobs[index].next = now + (isLast ? PingBoard.patience : jobs[index].interval)
            }
            let job = jobs[index]
            if job.sent == job.count, job.next <= now || job.roundTrips.count == job.count {
                answers.append(
                    (
                        job.request,
                        PingView(
                            node: node, name: job.name, sent: job.sent, roundTripsMicroseconds: job.roundTrips)
                    ))
            }
        }
        jobs.removeAll { job in
            unreachable.contains(job.request) || answers.contains { $0.0 == job.request }
        }
        return (answers, unreachable)
    }
}
