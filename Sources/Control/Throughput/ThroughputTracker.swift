package import Base
import Mesh
import Wire

/// Which peers may have this node open a server to be measured with. All are members of the fleet.
package enum BenchPermission: String, Hashable, Sendable, CaseIterable {
    /// Those that may reach everything here: of the same application, or by a rule without limits.
    case auto
    /// All; their packets need rules like others'.
    case allow
    case off
}

/// A server that the shell is to run.
package struct BenchService: Hashable, Sendable {
    package var number: UInt64
    package var address: IPAddress
    package var seconds: Int64

    package init(number: UInt64, address: IPAddress, seconds: Int64) {
        self.number = number
        self.address = address
        self.seconds = seconds
    }
}

/// # Measuring, at both ends
///
/// A *job* is somebody on this node who wants to measure the way to a peer: it finds the peer as a ping does, asks it on
/// a stream (`BenchRequest`), and hands what it answers to the person. A *guest* is a peer that has asked this node.
///
/// ```
///  job     finding ── session ──→ asking ── answer ──→ told
///  guest   asking ── request ──→ starting ── the shell's server listens ──→ serving ── its end
/// ```
///
/// Every state ends by itself, and `Limits` says how many there may be.
struct BenchBoard: Sendable {
    struct Job: Hashable, Sendable {
        enum Stage: Hashable, Sendable {
            case finding(until: Instant)
            case asking(StreamID, until: Instant)
        }
        let request: RequestID
        let asked: LookUp
        var node: NodeID?
        var name: String?
        let seconds: UInt8
        var stage: Stage
        /// Of the answer.
        var bytes: [UInt8] = []

        var isFinding: Bool { if case .finding = stage { true } else { false } }
        var until: Instant {
            switch stage {
            case .finding(let until), .asking(_, let until): until
            }
        }
    }
    struct Guest: Hashable, Sendable {
        enum Stage: Hashable, Sendable {
            case asking
            case starting(number: UInt64, isIPv4: Bool, seconds: Int64)
            case serving(number: UInt64)
        }
        let node: NodeID
        let stream: StreamID
        var stage = Stage.asking
        var until: Instant
        /// Of the request.
        var bytes: [UInt8] = []

        var number: UInt64? {
            switch stage {
            case .asking: nil
            case .starting(let number, _, _), .serving(let number): number
            }
        }
        /// Whether its stream is still of use.
        var isOnStream: Bool { if case .serving = stage { false } else { true } }
    }

    var jobs: [Job] = []
    var guests: [Guest] = []
    private var lastNumber: UInt64 = 0

    /// For a session, as with pings.
    static let connectPatience = PingBoard.connectPatience
    /// For an answer: the peer starts a program.
    static let answerPatience = Interval.seconds(8)
    static let requestPatience = Interval.seconds(2)
    static let startPatience = Interval.seconds(5)
    /// What a server is given to end by itself.
    static let grace = Interval.seconds(3)

    var isEmpty: Bool { jobs.isEmpty && guests.isEmpty }
    var askingCount: Int { guests.count { $0.stage == .asking } }
    var serverCount: Int { guests.count { $0.stage != .asking } }

    var deadline: Deadline? {
        (jobs.map(\.until) + guests.map(\.until)).min().map { Deadline($0, "bench") }
    }

    mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    func waits(for asked: LookUp) -> Bool { jobs.contains { $0.asked == asked && $0.isFinding } }

    /// The directory's answer.
    mutating func found(_ asked: LookUp, _ node: NodeID, name: String) {
        for index in jobs.indices where jobs[index].asked == asked && jobs[index].isFinding {
            jobs[index].node = node
            jobs[index].name = name
        }
    }

    /// Takes out the jobs that wait for a session which will not come.
    mutating func failed(_ node: NodeID) -> [RequestID] { take { $0.node == node && $0.isFinding } }
    mutating func failed(_ asked: LookUp) -> [RequestID] { take { $0.asked == asked && $0.isFinding } }

    mutating func take(where isMeant: (Job) -> Bool) -> [RequestID] {
        let taken = jobs.filter(isMeant).map(\.request)
        jobs.removeAll(where: isMeant)
        return taken
    }

    func job(_ stream: StreamID, of node: NodeID) -> Int? {
        jobs.firstIndex { job in
            if case .asking(stream, _) = job.stage { job.node == node } else { false }
        }
    }

    func guest(_ stream: StreamID, of node: NodeID) -> Int? {
        guests.firstIndex { $0.node == node && $0.stream == stream && $0.isOnStream }
    }

    func guest(_ number: UInt64) -> Int? { guests.firstIndex { $0.number == number } }
}
