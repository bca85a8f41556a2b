import Base
import Mesh
import Wire

/// # Heartbeats
///
/// Once a second a member reports its state in one datagram, outside of the control stream. The answer carries the digests
/// of what the controller knows, and the revision of desired state.
struct Heartbeats: Sendable {
    /// Of the last heartbeat sent.
    private(set) var sequence: UInt32 = 0
    /// A controller has answered since the start of the process.
    private var isReady = false

    private static let every = Interval.seconds(1)
    private static let everyWhileLeaving = Interval.milliseconds(200)

    /// Sends a heartbeat if one is due.
    mutating func service(
        _ supervisor: Supervisor, _ health: HealthTracker, reports: inout ReportTracker, core: inout AgentCore,
        now: Instant, into out: inout AgentOutbox
    ) {
        guard let due = core.uplink.heartbeatAt, due <= now, case .member = core.standing,
            let (node, _) = core.uplink.session
        else { return }
        let isLeaving = core.departure != .none
        sequence &+= 1
        reports.reportChange(of: supervisor, heartbeat: sequence, core: &core)
        var heartbeat = Heartbeat(
            state: isLeaving ? .leaving : .running, incarnation: core.incarnation, sequence: sequence,
            revision: supervisor.revision)
        heartbeat.processorLoad = health.processorLoad
        heartbeat.memoryLoad = health.memoryLoad
        heartbeat.acceleratorLoad = health.acceleratorLoad
        heartbeat.freeSlots = UInt16(max(0, Limits.workersPerNode - supervisor.activeCount))
        heartbeat.worst = health.worst
        heartbeat.hasCgroups = core.configuration.containment == .cgroup
        heartbeat.details = health.published.digest
        heartbeat.workers = reports.workersDigest
        if core.endpoint.value.send(heartbeat.encoded(), to: node, expectsReply: true, now: now) {
            core.counters.add(.heartbeatsSent)
        }
        core.checkController(node, now: now, into: &out)
        // Counted from the due time, so that delays do not add up; but never two at once after a pause.
        let interval = isLeaving ? Heartbeats.everyWhileLeaving : Heartbeats.every
        core.uplink.beat(at: now - due < interval ? due + interval : now + interval)
    }

    /// The answer in a message, if it is one to this process' heartbeats from the controller.
    mutating func receive(_ message: [UInt8], from node: NodeID, core: inout AgentCore) -> HeartbeatAck? {
        guard core.uplink.session?.node == node else {
            core.counters.add(.messagesUnexpected)
            return nil
        }
        let ack: HeartbeatAck
        do throws(DecodeError) {
            var reader = ByteReader(message.span.bytes)
            ack = try HeartbeatAck(reading: &reader)
        } catch {
            core.counters.add(.messagesUnreadable)
            return nil
        }
        guard ack.incarnation == core.incarnation, ack.sequence <= sequence else {
            core.counters.add(.messagesUnexpected)
            return nil
        }
        core.counters.add(.heartbeatsAnswered)
        return ack
    }

    /// After the first answer, once.
    mutating func reportReady(into out: inout AgentOutbox) {
        guard !isReady else { return }
        isReady = true
        out.actions.append(.ready)
    }
}
