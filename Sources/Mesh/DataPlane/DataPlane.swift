package import Base
package import Wire

/// # The data plane
///
/// A TUN device gives what programs of this node send to overlay addresses; a UDP socket carries it, sealed, to the peer
/// that has the address; the peer's data plane opens it and gives it to its TUN device. Everything else of the mesh
/// (handshakes, streams, heartbeats) goes through `Endpoint`, which knows sessions and paths. It informs the data plane of
/// keys, addresses and limits by `DataPlaneChange`s. What the data plane learns, such as that a peer has moved or holds new
/// keys, comes back as `DataPlaneEvent`s.
///
/// ```
///   TUN ── super-packet ──→ TxPath: route → cut → seal ──→ trains of datagrams ──→ UDP_SEGMENT
///   TUN ←── super-packet ── RxPath: index → window → open → check → join ←── trains ←── UDP_GRO
/// ```
///
/// Four things make it fast. Packets are received and sent in trains: one system call and one pass through the kernel's stack
/// for up to 64 of them. Only the cipher copies: a train is sealed from the device's buffer into the socket's, and opened in
/// place. Payload is not summed: the sender's kernel leaves transport checksums partial, a flag in the authenticated header
/// states that, and the receiver's kernel accepts them as partial. And the receiver joins segments again without a search for
/// flows: a flag states that a packet continues the one before it.
///
/// Both directions work on memory of the caller and allocate nothing. Each may have its own thread, or several, each with a
/// `DataPlane` that knows its role. What they share is made for concurrent use (`TxRoute.takeCounters`,
/// `RxEntry.exclusively`, `FlowTable`), and a single one takes a lock only where rules restrict a peer. Rare cases (no route
/// yet, a packet that is too large, a refusal) may allocate, and are limited in `Limits`.
///
/// What is never let through: a packet from a peer whose source is not one of the peer's own addresses; one that is not
/// for this node; multicast and broadcast; what the policy does not allow. Each is counted by its reason.
package struct DataPlane: ~Copyable {
    private(set) var transmit = TxPath()
    var receive = RxPath()
    let flows: FlowTable
    private let role: DataPlaneRole
    var waiting = WaitingPackets()
    /// RFC 4443, section 2.4 f requires a limit; a short burst is allowed.
    private var replies = TokenBucket(perSecond: 100, burst: 50, now: .origin)
    /// Nothing was sent since the last report.
    private var isQuiet = true
    package private(set) var counters = DataPlaneCounters()

    /// `takesUDP`: the device takes super-packets of UDP. Data planes on several threads divide the work by their roles
    /// and share `flows`; `isShared` where more than one of them has the role of receiving.
    package init(
        takesUDP: Bool = true, role: DataPlaneRole = [.outward, .inward], flows: FlowTable = FlowTable(),
        isShared: Bool = false
    ) {
        self.role = role
        self.flows = flows
        receive.joinsUDP = takesUDP
        receive.isShared = isShared
    }

    /// Applies a change of sessions and paths by `Endpoint`. Changes are applied in the order in which they were made.
    package mutating func apply(_ change: DataPlaneChange, now: Instant, into out: inout DataPlaneOutbox) {
        guard !change.role.isDisjoint(with: role) else { return }
        switch change {
        case .local(let local):
            transmit.local = local
            receive.local = local
        case .install(let entry): receive.install(entry)
        case .remove(let index): receive.remove(index)
        case .route(let route):
            transmit.install(route)
            resume(route, now: now, into: &out)
        case .unroute(let peer):
            if role.contains(.outward) { transmit.remove(peer) }
            if role.contains(.inward) { receive.forget(peer: peer) }
        case .rest(let peer, let indices):
            if role.contains(.outward) { transmit.rest(peer) }
            if role.contains(.inward) { for index in indices { receive.rest(index) } }
        case .redirect(let peer, let remote, let second): transmit.redirect(peer, remote, second: second)
        case .limit(let peer, let bytes): transmit.limit(peer, datagramBytes: bytes)
        case .restrict(let index, let policy): receive.restrict(index, to: policy)
        case .track(let peer, let tracksFlows): transmit.track(peer, tracksFlows)
        // For the driver.
        case .measure: break
        }
    }

    /// What one read of a device with IFF_VNET_HDR returned: a virtio header and a packet.
    package mutating func submitted(
        frame: UnsafeMutableRawPointer, count: Int, now: Instant, into out: inout DataPlaneOutbox
    ) {
        guard count > VirtioHeader.size, let header = VirtioHeader(frame) else { return counters.drop(.malformed) }
        submitted(
            frame + VirtioHeader.size, count: count - VirtioHeader.size, header, now: now, into: &out)
    }

    /// A packet from the device: `count` bytes at `packet`, which is written to. The caller sends the trains when there is
    /// no room for another packet, and before the buffer of the last one is used again.
    package mutating func submitted(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, now: Instant,
        into out: inout DataPlaneOutbox
    ) {
        guard out.trains.hasRoom else { return counters.drop(.noRoom) }
        switch transmit.submit(packet, count: count, header, now: now, flows: flows, into: &out.trains) {
        case .sent:
            guard isQuiet else { return }
            isQuiet = false
            out.events.append(.active)
        case .dropped(let reason): counters.drop(reason)
        case .noRoute(let key):
            if waiting.hold(packet, count: count, header, for: key, now: now) {
                out.events.append(.sessionRequested(key.address))
            }
            counters.drop(.awaitingSession, count: waiting.takeDropped())
        case .tooBig(let limit):
            counters.drop(.tooBig)
            answer(packet, count: count, .tooBig(limit), now: now, into: &out)
        }
    }

    /// What a socket received in one message: datagrams of `segment` bytes one behind the other, the last maybe shorter,
    /// from one address. Packets are opened in place and lie there until the caller has written them to the device;
    /// everything else is copied to `out.others`. `congestion` is the two ECN bits of the outer header.
    package mutating func received(
        _ bytes: UnsafeMutableRawBufferPointer, segment: Int, congestion: UInt8, from remote: SocketAddress,
        by socket: UInt16 = 0, now: Instant, into out: inout DataPlaneOutbox
    ) {
        receive.received(
            bytes, segment: segment, congestion: congestion, from: remote, by: socket, now: now, flows: flows,
            counters: &counters, into: &out)
    }

    /// The address's owner cannot be reached, or there is none: packets that wait for it are dropped, and their senders are
    /// informed.
    package mutating func unreachable(_ address: IPAddress, now: Instant, into out: inout DataPlaneOutbox) {
        for packet in waiting.release(OverlayKey(address)) {
            counters.drop(.unreachable)
            var bytes = packet.bytes
            let count = bytes.count
            bytes.withUnsafeMutableBytes { memory in
                answer(memory.baseAddress!, count: count, .unreachable, now: now, into: &out)
            }
        }
    }

    /// Drops packets that have waited too long. To be called at `deadline`.
    package mutating func tick(now: Instant) {
        counters.drop(.awaitingSession, count: waiting.expire(now))
    }

    package var deadline: Deadline? { waiting.deadline.map { Deadline($0, "packets that wait for a session") } }

    /// How long after `DataPlaneEvent.active` a driver asks for the next report.
    package static let reportAfter = Interval.milliseconds(100)

    /// What has happened since the last call, a peer at a time.
    package mutating func takeActivity() -> [DataPlaneActivity] {
        isQuiet = true
        return transmit.takeActivity() + receive.takeActivity()
    }

    private mutating func resume(_ route: TxRoute, now: Instant, into out: inout DataPlaneOutbox) {
        for key in [route.address4, route.address6] {
            guard let key else { continue }
            for packet in waiting.release(key) {
                var bytes = packet.bytes
                let count = bytes.count
                bytes.withUnsafeMutableBytes { memory in
                    submitted(memory.baseAddress!, count: count, packet.header, now: now, into: &out)
                }
            }
        }
    }

    private mutating func answer(
        _ packet: UnsafeMutableRawPointer, count: Int, _ error: ControlMessageError, now: Instant,
        into out: inout DataPlaneOutbox
    ) {
        guard replies.take(now: now), let local = transmit.local else { return }
        if let reply = ControlMessageReply.make(to: packet, count: count, error, from: local) {
            out.replies.append(reply)
        }
    }
}

/// What a driver hands to every call of a `DataPlane`, acts on, and empties.
package struct DataPlaneOutbox: ~Copyable {
    /// Datagrams to send.
    package var trains = TrainOutbox()
    /// Packets for the device, in the memory that was received into.
    package var packets = PacketOutbox()
    /// Packets that this node makes for the device: ICMP errors. Without a virtio header.
    package var replies: [[UInt8]] = []
    /// Datagrams that are not packets, for `Endpoint`.
    package var others = DatagramBatch(capacity: 4096)
    package var events: [DataPlaneEvent] = []

    package init() {}
}

/// The direction of a data plane's packets.
package struct DataPlaneRole: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// From the device to sockets.
    package static let outward = DataPlaneRole(rawValue: 1)
    /// From sockets to the device.
    package static let inward = DataPlaneRole(rawValue: 2)
}

/// A change that `Endpoint` reports to the data plane.
package enum DataPlaneChange: Sendable {
    /// This node's own addresses.
    case local(OverlayLocal)
    /// Keys to open with; the entry's index finds them.
    case install(RxEntry)
    case remove(index: UInt32)
    /// Keys to seal with for a peer, in place of those before.
    case route(TxRoute)
    case unroute(peer: Int)
    /// Nothing was sent to the peer, or received from it under these indices, for a while: state that can be made again is
    /// not kept.
    case rest(peer: Int, indices: [UInt32])
    /// Packets go to that path, and while it is in doubt also to `second`.
    case redirect(peer: Int, PathAddress, second: PathAddress?)
    /// The largest datagram that the path carries, in bytes of UDP payload.
    case limit(peer: Int, Int)
    /// Other rules hold for what the peer sends under the index.
    case restrict(index: UInt32, PeerPolicy)
    /// Whether replies of the peer need to be remembered.
    case track(peer: Int, Bool)
    /// The driver is to ask the kernel for the path MTU to that address, and to report it by `Endpoint.measured`.
    case measure(peer: Int, SocketAddress)

    /// The roles that the change concerns.
    package var role: DataPlaneRole {
        switch self {
        case .local, .unroute, .rest: [.outward, .inward]
        case .install, .remove, .restrict: .inward
        case .route, .redirect, .limit, .track: .outward
        case .measure: []
        }
    }

    /// The same for another thread's data plane.
    package func sibling() -> DataPlaneChange {
        if case .route(let route) = self { .route(route.sibling()) } else { self }
    }
}

/// What the data plane reports to `Endpoint` and the layer above.
package enum DataPlaneEvent: Hashable, Sendable {
    /// The peer has sealed with the keys of this index for the first time, so it holds them.
    case confirmed(index: UInt32, PathAddress)
    /// The newest packet of the peer, of that counter, came from another address than those before. Threads may report
    /// two moves in the wrong order.
    case moved(index: UInt32, PathAddress, counter: UInt64)
    /// The first packet since the last report was sent: the next report is due in a tenth of a second, so that paths are
    /// maintained while they are used.
    case active
    /// A packet waits for a session with the node that has this address.
    case sessionRequested(IPAddress)
}

/// Traffic of one peer since the last report.
package struct DataPlaneActivity: Hashable, Sendable {
    package let peer: Int
    package let isInward: Bool
    package let packets: UInt64
    package let bytes: UInt64
    package let lastAt: Instant
    /// Counters used under the present keys; 0 for what came in.
    package let counter: UInt64
    /// Sealed bytes that went or came over a relay.
    package let relayedBytes: UInt64

    package init(
        peer: Int, isInward: Bool, packets: UInt64, bytes: UInt64, lastAt: Instant, counter: UInt64,
        relayedBytes: UInt64 = 0
    ) {
        self.peer = peer
        self.isInward = isInward
        self.packets = packets
        self.bytes = bytes
        self.lastAt = lastAt
        self.counter = counter
        self.relayedBytes = relayedBytes
    }
}

/// This node in the overlay.
package struct OverlayLocal: Hashable, Sendable {
    package let address4: IPAddress?
    package let address6: IPAddress
    let key4: OverlayKey?
    let key6: OverlayKey

    package init(address4: IPAddress?, address6: IPAddress) {
        self.address4 = address4
        self.address6 = address6
        key4 = address4.map { OverlayKey($0) }
        key6 = OverlayKey(address6)
    }

    @inline(__always)
    func has(_ key: OverlayKey) -> Bool { key == key6 || key == key4 }
}

/// Why a packet was dropped.
package enum PacketDrop: Int, Hashable, Sendable, CaseIterable {
    /// From the device: not IP, truncated, or with an invalid header.
    case malformed
    /// Multicast, broadcast, or another address that belongs to no single node.
    case multicast
    /// From the device with a source that is not this node's.
    case foreignSource
    /// To an address outside of the overlay, or to this node itself.
    case notOverlay
    /// More packets wait for sessions than `Limits` allows, or this one has waited too long.
    case awaitingSession
    /// The socket has not accepted earlier sealed packets yet.
    case noRoom
    /// No node has the address, or its owner does not answer.
    case unreachable
    /// Larger than the path carries; the sender was informed.
    case tooBig
    /// The keys are too old, or used up.
    case expiredKeys
    /// From a peer: keys that this node does not have.
    case unknownSession
    case forged
    case replayed
    /// Authentic, and not an IP packet.
    case badPacket
    /// From a peer, with a source that is not the peer's.
    case spoofedSource
    /// From a peer, for another node.
    case notForUs
    /// The policy does not let the peer reach that port.
    case denied
    /// It experienced congestion, and its ends do not support ECN (RFC 6040, section 4.2).
    case congested

    package var name: String { "\(self)" }
}

package struct DataPlaneCounters: Sendable {
    package var packetsReceived: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    private var drops = [Int](repeating: 0, count: PacketDrop.allCases.count)

    package init() {}

    package subscript(reason: PacketDrop) -> Int { drops[reason.rawValue] }
    package mutating func drop(_ reason: PacketDrop, count: Int = 1) { drops[reason.rawValue] += count }

    /// Adds what another data plane has counted.
    package mutating func add(_ other: DataPlaneCounters) {
        packetsReceived += other.packetsReceived
        bytesReceived += other.bytesReceived
        for reason in PacketDrop.allCases { drop(reason, count: other[reason]) }
    }

    /// All figures with their names, in a fixed order.
    package var all: [(name: String, count: Int)] {
        [("overlay.packetsReceived", Int(packetsReceived)), ("overlay.bytesReceived", Int(bytesReceived))]
            + PacketDrop.allCases.map { ("overlay.dropped.\($0.name)", self[$0]) }
    }
}
