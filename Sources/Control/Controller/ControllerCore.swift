import Base
import Mesh
import Noise
import OrderedCollections
import Wire

/// # What all features of a controller share
///
/// As `AgentCore` is to `Agent`: the mesh endpoint, the members, the clock, the fleet's authority, and the log of events.
struct ControllerCore: ~Copyable {
    let endpoint: Box<Endpoint>
    var registry: Registry
    var settings: ControllerSettings
    var clock: WallClock
    var random: Random
    var generator: KeyGenerator
    var counters: StoredCounters
    private(set) var events: EventLog
    let authority: Authority
    let startedAt: UnixTime
    let incarnation: UInt64

    init(
        endpoint: consuming Endpoint, authority: consuming Authority, settings: ControllerSettings, stored: StoredState,
        incarnation: UInt64, random: Random, generator: consuming KeyGenerator, now: Instant, wall: UnixTime
    ) {
        self.endpoint = Box(endpoint)
        self.authority = authority
        self.settings = settings
        self.incarnation = incarnation
        self.random = random
        self.generator = generator
        counters = stored.counters
        counters.overlayNetwork = settings.overlayNetwork
        registry = Registry(stored.nodes)
        events = EventLog(stored.events)
        clock = WallClock(wall, at: now)
        startedAt = wall
    }

    var nodeID: NodeID { endpoint.value.nodeID }

    /// Where this controller is, for agents.
    var address: ControllerAddress {
        ControllerAddress(
            node: nodeID, addresses: settings.addresses, tcpPorts: settings.tcpPorts, names: settings.names)
    }

    /// Puts an event into the log. Returns what is to be stored of it.
    mutating func record(
        _ kind: EventView.Kind, _ message: String, slot: Int? = nil, worker: String? = nil, now: Instant
    ) -> StoreChange {
        let entry = slot.map { registry[$0] }
        return .event(
            events.add(
                kind, message, node: entry?.record.node, nodeName: entry?.name, worker: worker, wall: clock.wall(now)))
    }

    /// A node is silent, or so many are that the fault may lie here.
    mutating func record(_ change: Registry.Change, now: Instant) -> StoreChange {
        switch change {
        case .suspect(let slot): record(.nodeSuspect, "two heartbeats were missed", slot: slot, now: now)
        case .offline(let slot):
            record(.nodeOffline, "no heartbeat for \(Registry.offlineAfter.seconds) s", slot: slot, now: now)
        case .held:
            record(
                .verdictsHeld,
                "too many nodes became silent at once; none is declared offline for \(Registry.brakeTime.seconds) s",
                now: now)
        case .released:
            record(.verdictsReleased, "nodes that are silent are declared offline", now: now)
        }
    }

    /// What is known of a member, for people.
    func view(_ slot: Int, withHost: Bool, now: Instant) -> NodeView {
        let entry = registry[slot]
        return entry.view(
            wall: clock.wall(now), address: endpoint.value.address(of: entry.record.node), withHost: withHost)
    }

    /// A certificate with the next serial, which is to be stored with `counters`.
    mutating func issue(
        to node: NodeID, _ description: NodeDescription, roles: Roles, overlay4: IPAddress, now: Instant
    ) -> SignedCertificate {
        let certificate = authority.issue(
            counters.serial, to: node, name: description.name ?? "", site: description.site,
            labels: description.labels, roles: roles, overlay4: overlay4, wall: clock.wall(now))
        counters.serial += 1
        return certificate
    }

    // MARK: - Control streams

    /// Queues a message for an agent. False if there is no stream to it, or too much waits already. Then the stream is
    /// closed. The agent opens another one, on which the newest state is sent first.
    @discardableResult
    mutating func send(_ message: ControlMessage, to slot: Int) -> Bool {
        registry[slot].send(message, to: &endpoint.value)
    }

    /// Writes to an agent's stream as much as it accepts.
    mutating func write(_ slot: Int) { registry[slot].write(to: &endpoint.value) }

    /// Sends the whole desired state, at most twice a second: the agent's heartbeat shows whether it has arrived.
    mutating func sendDesired(_ slot: Int, now: Instant) {
        guard registry[slot].mayResend(now: now) else { return }
        let entry = registry[slot]
        let whole = Desired(revision: entry.record.revision, upserts: Array(entry.desired.values))
        if send(.desired(whole), to: slot) { registry[slot].noteSent(now: now) }
    }

    /// Sends an edit, if the agent has been sent what it is an edit of.
    mutating func sendEdit(_ slot: Int, upserts: [DesiredWorker], removals: [String], now: Instant) {
        let base = registry[slot].record.revision - 1
        guard base > 0, registry[slot].knows(revision: base) else { return sendDesired(slot, now: now) }
        let edit = Desired(revision: base + 1, baseRevision: base, upserts: upserts, removals: removals)
        if send(.desired(edit), to: slot) { registry[slot].noteSent(now: now) }
    }
}
