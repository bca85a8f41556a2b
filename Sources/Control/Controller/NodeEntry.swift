import Base
import Mesh
import OrderedCollections
import Wire

/// What the controller knows of one member: what it should do, its last report, and since when it is silent.
struct NodeEntry {
    private(set) var record: NodeRecord
    private(set) var state = NodeState.unknown
    /// The last one.
    private(set) var heartbeat: Heartbeat?
    private(set) var receivedAt: Instant?
    private var receivedWall: UnixTime?
    /// The fingerprints of the reports that were received, for the agent to compare with its own.
    private(set) var knownDetails: UInt64 = 0
    private(set) var knownWorkers: UInt64 = 0
    private var host: HostStatus?
    private(set) var accelerators: [AcceleratorStatus] = []
    /// As the agent last reported; sorted by name and generation.
    private(set) var workers: [WorkerStatus] = []
    private var agentVersion: String?
    private var containment: Containment?
    private(set) var verdict = Verdict.unknown
    /// The node's clock minus the controller's, as last reported.
    private(set) var clockOffset: Interval?
    /// The difference that was last put into the event log.
    private var reportedOffset: Interval?
    /// What should run there, by name.
    private(set) var desired = OrderedDictionary<String, DesiredWorker>()
    /// The control stream.
    private(set) var link: ControlLink?
    /// The newest revision that was sent in this link, and when.
    private var sentRevision: UInt64?
    private var sentAt = Instant.origin
    /// The relays that were named to the agent in this link.
    private var sentRelays: [ControllerAddress] = []

    /// The whole desired state is not sent more often.
    private static let resendAfter = Interval.milliseconds(500)

    init(_ record: NodeRecord) { self.record = record }

    var certificate: Certificate { record.certificate.certificate }
    var name: String { certificate.name }
    /// Heartbeats arrive, or did a moment ago.
    var isPresent: Bool { state == .online || state == .suspect }
    /// Can be asked something and is expected to answer.
    var isReachable: Bool { link != nil && isPresent }

    func status(of worker: WorkerRef) -> WorkerStatus? { workers.first { $0.worker == worker } }

    // MARK: - What it reports

    /// It has another certificate.
    mutating func apply(_ record: NodeRecord) { self.record = record }

    mutating func enter(_ state: NodeState) { self.state = state }

    mutating func noteReceived(at now: Instant) { receivedAt = now }

    /// A newer heartbeat. True if its agent was started again.
    mutating func apply(_ heartbeat: Heartbeat, wall: UnixTime) -> Bool {
        let isRestart = self.heartbeat.map { $0.incarnation != heartbeat.incarnation } ?? false
        self.heartbeat = heartbeat
        receivedWall = wall
        if isRestart {
            knownDetails = 0
            knownWorkers = 0
        }
        return isRestart
    }

    /// The worst of its devices. Returns what it was, if it is another.
    mutating func apply(_ verdict: Verdict) -> Verdict? {
        guard verdict != self.verdict else { return nil }
        defer { self.verdict = verdict }
        return self.verdict
    }

    /// A report of its agent. Returns the workers whose state has changed.
    mutating func apply(_ report: Report) -> [WorkerStatus] {
        agentVersion = report.agentVersion
        containment = report.containment ?? containment
        if let health = report.health {
            host = health.host
            accelerators = health.accelerators
            knownDetails = health.digest
        }
        guard let report = report.workers else { return [] }
        knownWorkers = report.digest
        let before = workers
        workers = report.workers
        return workers.filter { status in
            let old = before.first { $0.worker == status.worker }
            return old?.state != status.state || old?.restarts != status.restarts
        }
    }

    /// How far its clock is from the controller's. Returns what of it is new, as `FleetClock.report` does.
    mutating func apply(clockOffset offset: Interval) -> FleetClock.Report {
        clockOffset = offset
        guard offset.magnitude >= FleetClock.tolerance else {
            guard reportedOffset != nil else { return .nothing }
            reportedOffset = nil
            return .agrees
        }
        if let reportedOffset, (offset - reportedOffset).magnitude < FleetClock.tolerance { return .nothing }
        reportedOffset = offset
        return .differs
    }

    // MARK: - What it should do

    /// Restores desired state that was stored.
    mutating func restore(_ worker: DesiredWorker) { desired[worker.worker.name] = worker }

    /// Puts a worker into the desired state, which gets another revision.
    mutating func setDesired(_ worker: DesiredWorker) {
        desired[worker.worker.name] = worker
        record.revision += 1
    }

    /// Takes a worker out of the desired state, which gets another revision.
    mutating func removeDesired(_ name: String) {
        desired.removeValue(forKey: name)
        record.revision += 1
    }

    // MARK: - The link

    /// A new control stream: nothing is known of what the last one brought.
    mutating func open(_ stream: StreamID) {
        dropLink()
        link = ControlLink(node: record.node, stream: stream)
    }

    /// A session's end ends its stream, and with it what was on its way.
    mutating func dropLink() {
        link = nil
        sentRevision = nil
        sentRelays = []
    }

    /// Queues a message; false where there is no stream, or too much waits already.
    mutating func send(_ message: ControlMessage, to endpoint: inout Endpoint) -> Bool {
        link?.send(message, to: &endpoint) ?? false
    }

    mutating func write(to endpoint: inout Endpoint) { link?.write(to: &endpoint) }

    /// Reads once; `nextMessage` has what came.
    mutating func read(from endpoint: inout Endpoint, into out: inout MeshOutbox) -> ControlLink.Input {
        link?.read(from: &endpoint, into: &out) ?? .nothing
    }

    mutating func nextMessage() -> ControlMessage? { link?.nextMessage() }

    /// Whether the whole desired state may be sent now.
    func mayResend(now: Instant) -> Bool {
        guard link != nil else { return false }
        return sentRevision != record.revision || now - sentAt >= NodeEntry.resendAfter
    }

    /// Whether the agent has been sent this revision, or shows it.
    func knows(revision: UInt64) -> Bool {
        sentRevision == revision || (sentRevision == nil && heartbeat?.revision == revision)
    }

    /// The desired state of this revision was sent.
    mutating func noteSent(now: Instant) {
        sentRevision = record.revision
        sentAt = now
    }

    /// False where these were sent already.
    func lacks(_ relays: [ControllerAddress]) -> Bool { sentRelays != relays }

    mutating func noteSent(_ relays: [ControllerAddress]) { sentRelays = relays }
}

// MARK: - Views

extension NodeEntry {
    func view(wall: UnixTime, address: SocketAddress?, withHost: Bool) -> NodeView {
        return NodeView(
            id: record.node, name: name, site: certificate.site, labels: certificate.labels,
            roles: certificate.roles.names, state: state, isDraining: heartbeat?.state == .draining, address: address,
            overlay4: certificate.overlay4Given, overlay6: certificate.overlay6, enrolledAt: record.enrolledAt,
            certificateExpiresAt: certificate.notAfter, lastHeartbeatAt: receivedWall,
            clockOffsetMilliseconds: clockOffset?.milliseconds, agentVersion: agentVersion, containment: containment,
            verdict: verdict, revision: heartbeat?.revision ?? 0, desiredRevision: record.revision,
            processorLoadPercent: NodeEntry.load(heartbeat?.processorLoad),
            memoryLoadPercent: NodeEntry.load(heartbeat?.memoryLoad),
            acceleratorLoadPercent: NodeEntry.load(heartbeat?.acceleratorLoad),
            freeSlots: heartbeat.map { Int($0.freeSlots) }, workersRunning: workers.count { $0.state == .running },
            workersTotal: workers.count, accelerators: accelerators.count, host: withHost ? host : nil)
    }

    private static func load(_ raw: UInt8?) -> Int? {
        guard let raw, raw != Heartbeat.unknownLoad else { return nil }
        return Int(raw)
    }

    /// The worker as desired here, with the agent's report on it.
    func view(of desired: DesiredWorker) -> WorkerView {
        WorkerView(
            desired.worker, desired: desired.run ? .run : .stop, command: desired.spec.command, node: record.node,
            nodeName: name, operation: desired.operation, isCurrent: isPresent, status: status(of: desired.worker))
    }

    /// All workers that are desired here, and the others that the agent has.
    func workerViews() -> [WorkerView] {
        let own = desired.values.map { view(of: $0) }
        let strays = workers.filter { desired[$0.worker.name]?.worker != $0.worker }
        return own
            + strays.map { status in
                WorkerView(
                    status.worker, desired: .none, command: [], node: record.node, nodeName: name,
                    isCurrent: isPresent, status: status)
            }
    }
}
