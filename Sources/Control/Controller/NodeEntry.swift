import Base
import Mesh
import OrderedCollections
import Wire

/// What the controller knows of one member: what it should do, what it last said, and since when it is silent.
struct NodeEntry {
    var record: NodeRecord
    var state = NodeState.unknown
    var heartbeat: Heartbeat?
    var heardAt: Instant?
    var heardWall: UnixTime?
    /// The fingerprints of the reports that were received, for the agent to compare with its own.
    var knownDetails: UInt64 = 0
    var knownWorkers: UInt64 = 0
    var host: HostStatus?
    var accelerators: [AcceleratorStatus] = []
    /// As the agent last said; sorted by name and generation.
    var workers: [WorkerStatus] = []
    var agentVersion: String?
    var containment: Containment?
    var verdict = Verdict.unknown
    /// The node's clock minus the controller's, as it last said.
    var clockOffset: Interval?
    /// The difference that was last put into the event log.
    var reportedOffset: Interval?
    /// What should run there, by name.
    var desired = OrderedDictionary<String, DesiredWorker>()
    /// The newest revision that was sent in this session, and when.
    var sentRevision: UInt64?
    /// The relays that were named to the agent in this link.
    var toldRelays: [ControllerAddress] = []
    var sentAt = Instant.origin
    var stream: StreamID?
    var channel = MessageChannel()

    init(_ record: NodeRecord) { self.record = record }

    var certificate: Certificate { record.certificate.certificate }
    var name: String { certificate.name }
    /// Can be asked something and is expected to answer.
    var isReachable: Bool { stream != nil && (state == .online || state == .suspect) }

    func status(of worker: WorkerRef) -> WorkerStatus? { workers.first { $0.worker == worker } }

    /// A session's end ends its stream, and with it what was on its way.
    mutating func dropLink() {
        stream = nil
        channel = MessageChannel()
        sentRevision = nil
        toldRelays = []
    }

    func view(wall: UnixTime, address: SocketAddress?, withHost: Bool) -> NodeView {
        var view = NodeView(
            id: record.node, name: name, site: certificate.site, labels: certificate.labels,
            roles: certificate.roles.names, state: state, enrolledAt: record.enrolledAt,
            certificateExpiresAt: certificate.notAfter)
        view.clockOffsetMilliseconds = clockOffset?.milliseconds
        view.isDraining = heartbeat?.state == .draining
        view.address = address
        view.overlay4 = certificate.overlay4Given
        view.overlay6 = certificate.overlay6
        view.lastHeartbeatAt = heardWall
        view.agentVersion = agentVersion
        view.containment = containment
        view.verdict = verdict
        view.revision = heartbeat?.revision ?? 0
        view.desiredRevision = record.revision
        view.processorLoadPercent = NodeEntry.load(heartbeat?.processorLoad)
        view.memoryLoadPercent = NodeEntry.load(heartbeat?.memoryLoad)
        view.acceleratorLoadPercent = NodeEntry.load(heartbeat?.acceleratorLoad)
        view.freeSlots = heartbeat.map { Int($0.freeSlots) }
        view.workersRunning = workers.count { $0.state == .running }
        view.workersTotal = workers.count
        view.accelerators = accelerators.count
        if withHost { view.host = host }
        return view
    }

    private static func load(_ raw: UInt8?) -> Int? {
        guard let raw, raw != Heartbeat.unknownLoad else { return nil }
        return Int(raw)
    }

    /// The worker as wanted here, with what the agent says of it.
    func view(of desired: DesiredWorker) -> WorkerView {
        var view = WorkerView(desired.worker, wish: desired.run ? .run : .stop, command: desired.spec.command)
        view.node = record.node
        view.nodeName = name
        view.operation = desired.operation
        view.isCurrent = state == .online || state == .suspect
        if let status = status(of: desired.worker) { view.take(status) }
        return view
    }

    /// All that is wanted here, and what the agent has beside it.
    func workerViews() -> [WorkerView] {
        let wanted = desired.values.map { view(of: $0) }
        let strays = workers.filter { desired[$0.worker.name]?.worker != $0.worker }
        return wanted
            + strays.map { status in
                var view = WorkerView(status.worker, wish: .none, command: [])
                view.node = record.node
                view.nodeName = name
                view.isCurrent = state == .online || state == .suspect
                view.take(status)
                return view
            }
    }
}
