import Base
import Wire

/// The script of a simulated worker. The command of its specification holds it, so starting the specification starts the
/// script, and nothing else has to be passed on.
struct WorkerScript: Hashable, Sendable {
    enum Kind: String, Sendable, CaseIterable {
        /// Runs until it gets a signal, and then ends with status 0 or by the signal.
        case runs
        /// Ends with status 0 after its time.
        case finishes
        /// Ends with its status after its time.
        case fails
        /// Ends at once, again and again.
        case crashes
        /// Ignores every signal except KILL.
        case ignoresTerm
        /// Ends some time after TERM.
        case lingers
        /// Cannot be started.
        case missing
        /// In state D for its time after KILL, before it ends.
        case stuck
    }
    var kind: Kind
    var status: Int32
    var time: Interval

    static func draw(_ weights: [UInt64], _ random: inout Random) -> WorkerScript {
        var point = random.next(below: max(1, weights.reduce(0, +)))
        var kind = Kind.runs
        for (candidate, weight) in zip(Kind.allCases, weights) {
            if point < weight {
                kind = candidate
                break
            }
            point -= weight
        }
        let time: Interval =
            switch kind {
            case .crashes: random.interval(in: .milliseconds(1)...(.milliseconds(300)))
            case .lingers: random.interval(in: .milliseconds(100)...(.seconds(8)))
            case .stuck: random.interval(in: .seconds(1)...(.seconds(25)))
            case .runs, .finishes, .fails, .ignoresTerm, .missing:
                random.interval(in: .milliseconds(5)...(.seconds(25)))
            }
        return WorkerScript(kind: kind, status: Int32(random.next(in: 1...125)), time: time)
    }

    var command: [String] { ["/sim/\(kind.rawValue)", "\(status)", "\(time.milliseconds)"] }

    init(kind: Kind, status: Int32, time: Interval) {
        self.kind = kind
        self.status = status
        self.time = time
    }

    /// `nil` for a command that is no script.
    init?(command: [String]) {
        guard command.count == 3, command[0].hasPrefix("/sim/"),
            let kind = Kind(rawValue: String(command[0].dropFirst(5))), let status = Int32(command[1]),
            let milliseconds = Int64(command[2])
        else { return nil }
        self.init(kind: kind, status: status, time: .milliseconds(milliseconds))
    }

    /// How long it lives if it is not ended, and its status then.
    var natural: (after: Interval, status: Int32)? {
        switch kind {
        case .finishes: (time, 0)
        case .fails, .crashes: (time, status)
        case .runs, .ignoresTerm, .lingers, .missing, .stuck: nil
        }
    }

    /// What a signal other than KILL does: `nil` for nothing, else how long until it has ended.
    var obedience: Interval? {
        switch kind {
        case .ignoresTerm, .stuck: nil
        case .lingers: time
        case .runs, .finishes, .fails, .crashes, .missing: .milliseconds(2)
        }
    }
}
