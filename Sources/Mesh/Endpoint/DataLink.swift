import Base
import Wire

/// # The data plane's state of one peer
///
/// The path of packets, their largest size on it, and how long the keys are valid; and the traffic that the data plane has
/// reported. Without a data plane there is no route, and all of it stays empty.
struct DataLink {
    /// Packets and bytes of the data plane, since the peer is known.
    struct Traffic {
        fileprivate(set) var packets = 0
        fileprivate(set) var bytes = 0

        fileprivate mutating func add(_ activity: DataPlaneActivity) {
            packets += Int(activity.packets)
            bytes += Int(activity.bytes)
        }
    }

    private let slot: Int
    /// The paths that were last reported to the data plane.
    private var path: (primary: PathAddress, second: PathAddress?)?
    /// The size that was last reported to it, in bytes of UDP payload.
    private var bytes = 0
    /// The largest datagram that the current path carries.
    private var size: PathSize?
    /// When the keys that it seals with expire.
    private var expiresAt: Instant?
    private(set) var received = Traffic()
    private(set) var sent = Traffic()

    /// The assumed MTU of a path until the kernel has reported one.
    private static let ethernetMTU = 1500

    init(slot: Int) { self.slot = slot }

    /// The data plane has keys to seal with.
    func hasRoute(_ now: Instant) -> Bool { expiresAt.map { $0 > now } ?? false }

    /// Bytes of a datagram of this node on that path, without the relay header. A datagram that is sent on two paths must fit
    /// both.
    func datagramBytes(at path: PathAddress, second: PathAddress?) -> Int {
        let overhead = max(path.overhead, second?.overhead ?? 0)
        return (size?.limit ?? DataLink.payload(ofMTU: DataLink.ethernetMTU, to: path.remote)) - overhead
    }

    /// Bytes of UDP payload in an IP packet (less 20 or 40, and 8).
    private static func payload(ofMTU mtu: Int, to remote: SocketAddress) -> Int {
        mtu - (remote.ip.isIPv4 ? 28 : 48)
    }

    // MARK: - Path

    /// The data plane gets new keys, and that path. Returns how large its datagrams may be.
    mutating func route(to remote: PathAddress, second: PathAddress?, until expiresAt: Instant) -> Int {
        self.expiresAt = expiresAt
        if size == nil || path?.primary != remote { resize(remote) }
        bytes = datagramBytes(at: remote, second: second)
        path = (remote, nil)
        return bytes
    }

    /// The changes that inform the data plane of the peer's current paths.
    mutating func changes(primary: PathAddress?, second: PathAddress?) -> [DataPlaneChange] {
        guard let before = path, let primary else { return [] }
        guard before.primary != primary || before.second != second else { return [] }
        path = (primary, second)
        let redirect = DataPlaneChange.redirect(peer: slot, primary, second: second)
        if before.primary == primary { return [redirect] + sizeChange(second: second) }
        // How large packets may be on another path is not known yet.
        resize(primary)
        let measure = primary.isTCP ? [] : [DataPlaneChange.measure(peer: slot, primary.remote)]
        return [redirect] + sizeChange(second: second) + measure
    }

    private mutating func resize(_ path: PathAddress) {
        let ceiling = DataLink.payload(ofMTU: DataLink.ethernetMTU, to: path.remote)
        size = PathSize(ceiling: ceiling, isIPv4: path.remote.ip.isIPv4)
    }

    // MARK: - Size

    /// When a probe of sizes is due.
    var deadline: Instant? { size?.deadline }

    /// The changes that inform the data plane of the size.
    mutating func sizeChange(second: PathAddress?) -> [DataPlaneChange] {
        guard let path = path?.primary else { return [] }
        let now = datagramBytes(at: path, second: second)
        guard now != bytes else { return [] }
        bytes = now
        return [.limit(peer: slot, now)]
    }

    /// Probes that are due on the primary path, with their sizes in bytes of UDP payload.
    mutating func sizeProbes(on paths: PathSet, budget: inout ProbeBudget, now: Instant) -> [(size: Int, token: UInt64)]
    {
        guard size != nil else { return [] }
        return size?.due(
            now, patience: paths.patience,
            isAlive: paths.isAnswered(since: now - paths.patience - .milliseconds(500)),
            room: budget.availableForSizes(now), firstToken: budget.nextToken) ?? []
    }

    /// Whether the answer was to a probe of sizes.
    mutating func sizeProbeAnswered(_ token: UInt64, now: Instant) -> Bool { size?.answered(token, now: now) ?? false }

    /// The kernel's path MTU to `remote`. False if no size is measured.
    mutating func measured(mtu: Int, at remote: SocketAddress) -> Bool {
        guard size != nil else { return false }
        size?.believe(max(DataLink.payload(ofMTU: mtu, to: remote), PathSize.floor))
        return true
    }

    // MARK: - Traffic

    mutating func packetsSent(_ activity: DataPlaneActivity, now: Instant) {
        sent.add(activity)
        size?.used(now)
    }

    mutating func packetsReceived(_ activity: DataPlaneActivity) { received.add(activity) }
}
