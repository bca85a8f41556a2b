import Base
import Wire

/// # Reports in addition to the heartbeat
///
/// Workers and health are reported when they have changed, and again where the answer to a heartbeat shows that the
/// controller does not know them. A change of a worker is reported at once, at most every 20 ms.
///
/// Digests are computed when they are needed: a burst of a thousand launches would otherwise encode a thousand workers a
/// thousand times.
struct ReportTracker: Sendable {
    private struct Sent: Sendable {
        let digest: UInt64
        /// The last heartbeat before the report; answers to it cannot know the report.
        private(set) var sequence: UInt32
    }

    /// The workers' digest that heartbeats carry.
    private(set) var workersDigest = WorkersReport([]).digest
    private var isStale = true
    private var sentWorkers: Sent?
    private var sentHealth: Sent?
    private var lastChangeReport: Instant?
    private var changeReportAt: Instant?
    /// What the last answer asked for.
    private var needsHealth = false
    private var needsWorkers = false
    private var sequence: UInt64 = 0

    private static let coalesce = Interval.milliseconds(20)

    var deadline: Deadline? { changeReportAt.map { Deadline($0, "worker report") } }

    mutating func workersMayHaveChanged(now: Instant) {
        isStale = true
        guard changeReportAt == nil else { return }
        changeReportAt = lastChangeReport.map { max(now, $0 + ReportTracker.coalesce) } ?? now
    }

    /// The report on `statuses`, if heartbeats do not carry its digest yet.
    private mutating func refresh(_ statuses: @autoclosure () -> [WorkerStatus]) -> WorkersReport? {
        guard isStale else { return nil }
        isStale = false
        let report = WorkersReport(statuses())
        guard report.digest != workersDigest else { return nil }
        workersDigest = report.digest
        return report
    }

    /// The digests of what the controller knows.
    mutating func acknowledged(_ ack: HeartbeatAck, health: UInt64) {
        needsHealth = ack.details != health && mayReportAgain(sentHealth, health, ack.sequence)
        needsWorkers = ack.workers != workersDigest && mayReportAgain(sentWorkers, workersDigest, ack.sequence)
    }

    /// A report takes longer than a heartbeat where datagrams are lost, so two answers must show that it is not there.
    private func mayReportAgain(_ sent: Sent?, _ digest: UInt64, _ answered: UInt32) -> Bool {
        guard let sent, sent.digest == digest else { return true }
        return answered > sent.sequence &+ 1
    }

    // MARK: - Sending

    /// Sends what is due. `heartbeat`: the sequence of the last heartbeat.
    mutating func service(
        _ supervisor: Supervisor, _ health: HealthTracker, heartbeat: UInt32, core: inout AgentCore, now: Instant
    ) {
        guard case .member = core.standing, core.uplink.link != nil else { return }
        if let due = changeReportAt, due <= now {
            changeReportAt = nil
            lastChangeReport = now
            reportChange(of: supervisor, heartbeat: heartbeat, core: &core)
        }
        guard needsHealth || needsWorkers else { return }
        send(
            health: needsHealth ? health.published : nil,
            workers: needsWorkers ? WorkersReport(supervisor.statuses) : nil, heartbeat: heartbeat, core: &core)
    }

    /// Reports the workers, if heartbeats do not carry their digest yet.
    mutating func reportChange(of supervisor: Supervisor, heartbeat: UInt32, core: inout AgentCore) {
        guard let report = refresh(supervisor.statuses) else { return }
        send(health: nil, workers: report, heartbeat: heartbeat, core: &core)
    }

    /// Not sent where there is no room: the next answer to a heartbeat will ask for it.
    private mutating func send(
        health: HealthReport?, workers: WorkersReport?, heartbeat: UInt32, core: inout AgentCore
    ) {
        var report = Report(sequence: sequence + 1, agentVersion: core.configuration.version)
        report.health = health
        report.workers = workers
        report.containment = core.configuration.containment
        guard core.send(.report(report)) else { return }
        core.counters.add(.reportsSent)
        noteSent(report, heartbeat: heartbeat)
    }

    private mutating func noteSent(_ report: Report, heartbeat: UInt32) {
        sequence = report.sequence
        if let health = report.health {
            sentHealth = Sent(digest: health.digest, sequence: heartbeat)
            needsHealth = false
        }
        if let workers = report.workers {
            sentWorkers = Sent(digest: workers.digest, sequence: heartbeat)
            needsWorkers = false
        }
    }

    /// A new stream: reports on the last one may be lost.
    mutating func forget() {
        sentWorkers = nil
        sentHealth = nil
    }
}
