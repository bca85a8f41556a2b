import Base
import Wire

/// What was told to the controller, and what is to be told. Digests are computed when somebody needs them, since a burst
/// of a thousand launches would otherwise encode a thousand workers a thousand times.
struct ReportBoard: Sendable {
    private struct Told: Sendable {
        var digest: UInt64
        /// The last heartbeat before the report; answers to it cannot know the report.
        var sequence: UInt32
    }

    /// The workers' digest that heartbeats carry.
    private(set) var workersDigest = WorkersReport([]).digest
    private var isStale = true
    private var toldWorkers: Told?
    private var toldHealth: Told?
    private var lastChangeReport: Instant?
    private(set) var changeReportAt: Instant?
    /// What the last answer asked for.
    private(set) var wantsHealth = false
    private(set) var wantsWorkers = false
    private(set) var sequence: UInt64 = 0

    static let coalesce = Interval.milliseconds(20)

    var deadline: Deadline? { changeReportAt.map { Deadline($0, "worker report") } }

    mutating func workersMayHaveChanged(now: Instant) {
        isStale = true
        guard changeReportAt == nil else { return }
        changeReportAt = lastChangeReport.map { max(now, $0 + ReportBoard.coalesce) } ?? now
    }

    /// The report on `statuses`, if they are not what heartbeats speak of already.
    mutating func refresh(_ statuses: @autoclosure () -> [WorkerStatus]) -> WorkersReport? {
        guard isStale else { return nil }
        isStale = false
        let report = WorkersReport(statuses())
        guard report.digest != workersDigest else { return nil }
        workersDigest = report.digest
        return report
    }

    /// What the controller says it knows.
    mutating func acknowledged(_ ack: HeartbeatAck, health: UInt64) {
        wantsHealth = ack.details != health && mayTellAgain(toldHealth, health, ack.sequence)
        wantsWorkers = ack.workers != workersDigest && mayTellAgain(toldWorkers, workersDigest, ack.sequence)
    }

    /// A report takes longer than a heartbeat where datagrams are lost, so two answers must show that it is not there.
    private func mayTellAgain(_ told: Told?, _ digest: UInt64, _ answered: UInt32) -> Bool {
        guard let told, told.digest == digest else { return true }
        return answered > told.sequence &+ 1
    }

    mutating func tookChange(now: Instant) {
        changeReportAt = nil
        lastChangeReport = now
    }

    mutating func told(_ report: Report, heartbeat: UInt32) {
        sequence = report.sequence
        if let health = report.health {
            toldHealth = Told(digest: health.digest, sequence: heartbeat)
            wantsHealth = false
        }
        if let workers = report.workers {
            toldWorkers = Told(digest: workers.digest, sequence: heartbeat)
            wantsWorkers = false
        }
    }

    /// A new stream: whatever was told on the last one may be lost.
    mutating func forget() {
        toldWorkers = nil
        toldHealth = nil
    }
}
