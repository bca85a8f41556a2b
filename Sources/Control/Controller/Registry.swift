import Base
import Mesh
import OrderedCollections
import Wire

/// # Who is there
///
/// Every member has a permanent slot: there are few members, compared with heartbeats. A heartbeat sets a node's timer.
/// When it expires, the node is *suspect* after two missed heartbeats, and *offline* after four seconds. That costs O(log
/// n) a heartbeat and nothing for nodes that are online.
///
/// A controller that receives nothing may itself be disconnected. Suppose more than a twentieth of the online nodes,
/// and at least three, would be declared offline within two seconds. Then verdicts are held for ten seconds: no node is
/// declared offline, and the event log states it. Nodes that are still silent then are declared offline.
struct Registry {
    private(set) var entries: [NodeEntry] = []
    private var slots = Table<NodeID, Int>()
    private var slotOfName = Table<String, Int>()
    /// By overlay address: each member has the IPv6 one of its key, and the IPv4 one of its certificate, if any.
    private var slotOfAddress = Table<IPAddress, Int>()
    private var timers = TimerQueue()
    /// When nodes were recently about to be declared offline.
    private var losses: [Instant] = []
    private(set) var heldUntil: Instant?
    private(set) var onlineCount = 0

    static let suspectAfter = Interval.milliseconds(2500)
    static let offlineAfter = Interval.seconds(4)
    static let brakeWindow = Interval.seconds(2)
    static let brakeTime = Interval.seconds(10)
    static let brakeLeast = 3
    /// One in so many.
    static let brakeShare = 20

    enum Change: Hashable {
        case suspect(Int)
        case offline(Int)
        case held
        case released
    }

    init(_ records: [NodeRecord]) {
        for record in records { _ = add(record) }
    }

    subscript(slot: Int) -> NodeEntry {
        get { entries[slot] }
        _modify { yield &entries[slot] }
    }

    func slot(of node: NodeID) -> Int? { slots[node] }
    func slot(named name: String) -> Int? { slotOfName[name] }
    func slot(at address: IPAddress) -> Int? { slotOfAddress[address] }

    /// A new member, or a new certificate of an old one.
    mutating func add(_ record: NodeRecord) -> Int {
        let certificate = record.certificate.certificate
        if let slot = slots[record.node] {
            slotOfName.remove(entries[slot].name)
            slotOfName[certificate.name] = slot
            slotOfAddress.remove(entries[slot].certificate.overlay4)
            entries[slot].apply(record)
            if !certificate.overlay4.isUnspecified { slotOfAddress[certificate.overlay4] = slot }
            return slot
        }
        let slot = entries.count
        entries.append(NodeEntry(record))
        slots[record.node] = slot
        slotOfName[certificate.name] = slot
        slotOfAddress[certificate.overlay6] = slot
        if !certificate.overlay4.isUnspecified { slotOfAddress[certificate.overlay4] = slot }
        return slot
    }

    /// The node that a person means: a name, or a node id, or the first digits of one if no other begins so.
    func find(_ text: String) -> Int? {
        if let slot = slotOfName[text] { return slot }
        if let id = NodeID(hex: text) { return slots[id] }
        guard text.utf8.count >= 4 else { return nil }
        let matches = entries.indices.filter { entries[$0].record.node.hex.hasPrefix(text.lowercased()) }
        return matches.count == 1 ? matches[0] : nil
    }

    /// A heartbeat of a node that does not leave. True if it was not online.
    mutating func noteReceived(_ slot: Int, now: Instant) -> Bool {
        entries[slot].noteReceived(at: now)
        timers.set(slot, at: now + Registry.suspectAfter)
        let wasOnline = entries[slot].state == .online
        if !wasOnline { set(slot, .online) }
        return !wasOnline
    }

    /// A node has announced that it leaves.
    mutating func left(_ slot: Int) {
        timers.set(slot, at: nil)
        set(slot, .left)
    }

    private mutating func set(_ slot: Int, _ state: NodeState) {
        let counted = entries[slot].isPresent
        let counts = state == .online || state == .suspect
        if counts != counted { onlineCount += counts ? 1 : -1 }
        entries[slot].enter(state)
    }

    var deadline: Instant? {
        mutating get {
            guard let heldUntil else { return timers.earliest() }
            return min(heldUntil, timers.earliest() ?? .distantFuture)
        }
    }

    /// Advances the timers. Returns what changed, in order.
    mutating func tick(now: Instant) -> [Change] {
        var changes: [Change] = []
        if let until = heldUntil, until <= now { changes += release(now) }
        var silent: [Int] = []
        while let slot = timers.popDue(now) {
            switch entries[slot].state {
            case .online:
                set(slot, .suspect)
                changes.append(.suspect(slot))
                timers.set(slot, at: (entries[slot].receivedAt ?? now) + Registry.offlineAfter)
            case .suspect: silent.append(slot)
            case .unknown, .offline, .left: break
            }
        }
        return changes + declare(silent, now)
    }

    /// The pause is over: all nodes that are still silent are declared offline, however many there are.
    private mutating func release(_ now: Instant) -> [Change] {
        heldUntil = nil
        losses = []
        var changes = [Change.released]
        for slot in entries.indices where entries[slot].state == .suspect {
            guard let receivedAt = entries[slot].receivedAt, now - receivedAt >= Registry.offlineAfter else { continue }
            timers.set(slot, at: nil)
            set(slot, .offline)
            changes.append(.offline(slot))
        }
        return changes
    }

    /// Declares nodes offline, unless so many would be that the fault may lie here.
    private mutating func declare(_ silent: [Int], _ now: Instant) -> [Change] {
        guard !silent.isEmpty else { return [] }
        if let until = heldUntil {
            for slot in silent { timers.set(slot, at: until) }
            return []
        }
        losses.removeAll { now - $0 > Registry.brakeWindow }
        losses += silent.map { _ in now }
        if losses.count >= Registry.brakeLeast, losses.count * Registry.brakeShare > onlineCount {
            let until = now + Registry.brakeTime
            heldUntil = until
            for slot in silent { timers.set(slot, at: until) }
            return [.held]
        }
        for slot in silent { set(slot, .offline) }
        return silent.map { .offline($0) }
    }

    var counts: StatusView.NodeCounts { StatusView.NodeCounts(counting: entries.lazy.map(\.state)) }
}
