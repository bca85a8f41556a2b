import Base
import Noise
import Wire

// The sending path of a packet, in the order of the functions:
//
// device ──→ submit: source, destination ──→ route ──→ sealWhole, or sealSegments for a super-packet
//          ──→ for each datagram: header | cipher ──→ the train of its peer
//
// A super-packet is segmented without a copy: the headers of the next segment are written over the end of the one before,
// which has been sealed already, and each segment is sealed from there into the train.

/// From packets of the device to trains of sealed datagrams.
struct TxPath: ~Copyable {
    var local: OverlayLocal?
    private var table = RouteTable()
    /// By peer.
    private var routes: [TxRoute?] = []
    /// The routes that were used since the last report, including replaced ones.
    private var active: [TxRoute] = []
    /// The last packet, if the next one may continue it.
    private var last = Mark()

    enum Verdict {
        case sent
        case dropped(PacketDrop)
        case noRoute(OverlayKey)
        /// The largest packet that the path carries.
        case tooBig(Int)
    }

    /// What a datagram adds to a packet: the header and the tag.
    static let overhead = DatagramHeader.framesSize + DatagramHeader.tagSize

    // MARK: - Routes

    mutating func install(_ route: TxRoute) {
        while routes.count <= route.peer { routes.append(nil) }
        if let old = routes[route.peer] {
            forget(old)
        }
        routes[route.peer] = route
        if let key = route.address4 { table.set(key, to: Int32(route.peer)) }
        if let key = route.address6 { table.set(key, to: Int32(route.peer)) }
    }

    mutating func remove(_ peer: Int) {
        guard peer < routes.count, let old = routes[peer] else { return }
        forget(old)
        routes[peer] = nil
        active.removeAll { $0 === old }
    }

    private mutating func forget(_ route: TxRoute) {
        if let key = route.address4 { table.remove(key, of: Int32(route.peer)) }
        if let key = route.address6 { table.remove(key, of: Int32(route.peer)) }
    }

    func redirect(_ peer: Int, _ remote: PathAddress, second: PathAddress?) {
        guard peer < routes.count, let route = routes[peer] else { return }
        route.state.pointee.remote = remote
        route.state.pointee.second = second
    }

    func limit(_ peer: Int, datagramBytes: Int) {
        guard peer < routes.count, let route = routes[peer] else { return }
        route.state.pointee.datagramBytes = datagramBytes
    }

    /// The policy for the peer has changed.
    func track(_ peer: Int, _ tracksFlows: Bool) {
        guard peer < routes.count, let route = routes[peer] else { return }
        route.state.pointee.tracksFlows = tracksFlows
    }

    /// Nothing was sent to the peer for a while.
    func rest(_ peer: Int) {
        guard peer < routes.count, let route = routes[peer] else { return }
        route.state.pointee.key.rest()
    }

    mutating func takeActivity() -> [DataPlaneActivity] {
        defer { active.removeAll(keepingCapacity: true) }
        return active.map { route in
            // The counters of replaced keys are not needed.
            let isCurrent = routes[route.peer] === route
            return route.state.pointee.traffic.take(
                peer: route.peer, isInward: false, counter: isCurrent ? route.countersTaken : 0)
        }
    }

    // MARK: - Packets

    mutating func submit(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, now: Instant, flows: FlowTable,
        into trains: inout TrainOutbox
    ) -> Verdict {
        guard let inner = InnerPacket(packet, count: count) else { return .dropped(.malformed) }
        if inner.destination.isNobody { return .dropped(.multicast) }
        guard let local, local.has(inner.source) else { return .dropped(.foreignSource) }
        guard let index = table[inner.destination], let route = routes[Int(index)] else {
            return local.has(inner.destination) ? .dropped(.notOverlay) : .noRoute(inner.destination)
        }
        guard now < route.expiresAt else { return .dropped(.expiredKeys) }
        if route.state.pointee.tracksFlows { flows.note(outward: packet, count: count, inner, now: now) }
        if route.state.pointee.traffic.count(bytes: count, now: now) {
            route.state.pointee.key.wake()
            active.append(route)
        }
        guard route.state.pointee.second == nil else {
            return sealTwice(packet, count: count, header, inner, route, into: &trains)
        }
        return seal(packet, count: count, header, inner, route, into: &trains)
    }

    @inline(__always)
    private mutating func seal(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, _ inner: InnerPacket, _ route: TxRoute,
        into trains: inout TrainOutbox
    ) -> Verdict {
        header.segmentation == .none
            ? sealWhole(packet, count: count, header, inner, route, into: &trains)
            : sealSegments(packet, count: count, header, inner, route, into: &trains)
    }

    /// Seals once and sends on both paths; the peer drops the second copy by its number.
    private mutating func sealTwice(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, _ inner: InnerPacket, _ route: TxRoute,
        into trains: inout TrainOutbox
    ) -> Verdict {
        trains.close()
        let first = trains.count
        let verdict = seal(packet, count: count, header, inner, route, into: &trains)
        if let second = route.state.pointee.second {
            let repeated = trains.count
            trains.repeatTrains(from: first, on: second, insteadOf: route.state.pointee.remote)
            if second.isRelayed {
                route.state.pointee.traffic.relayedBytes &+= trains.sealedBytes(from: repeated, on: second)
            }
        }
        return verdict
    }

    private mutating func sealWhole(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, _ inner: InnerPacket, _ route: TxRoute,
        into trains: inout TrainOutbox
    ) -> Verdict {
        let limit = route.state.pointee.datagramBytes - TxPath.overhead
        if count > limit {
            // A large segment of TCP whose checksum this side completes may be segmented like any super-packet.
            if let header = segmented(packet, count: count, header, inner, limit: limit) {
                return sealSegments(packet, count: count, header, inner, route, into: &trains)
            }
            // The packets that IPv6 guarantees to carry are carried, fragmented if necessary (RFC 8200, section 5).
            if count > max(limit, TxPath.leastIPv6) || inner.isIPv4 { return .tooBig(limit) }
        }
        let counter = route.takeCounters(1)
        var flags: UInt8 = 0
        if header.flags & VirtioHeader.needsChecksum != 0 {
            if isPlain(header, inner) {
                flags = PacketFlags.partialChecksum
                if inner.transport == InnerPacket.udp, continues(packet, count: count, inner, route, counter) {
                    flags |= PacketFlags.continues
                }
            } else {
                finishChecksum(packet, count: count, header)
            }
        }
        seal(packet, count: count, flags: flags, route, counter, mayFragment: count > limit, into: &trains)
        return .sent
    }

    /// A datagram of UDP that differs from the one before only in its payload. Programs send many such one by one; joined at
    /// the destination they pass its stack as one.
    @inline(__always)
    private mutating func continues(
        _ packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket, _ route: TxRoute,
        _ counter: UInt64
    ) -> Bool {
        guard count > inner.headerLength + 8, inner.headerLength == (inner.isIPv4 ? 20 : 40) else { return false }
        var mark = Mark(packet, inner)
        mark.peer = route.peer
        mark.keys = route.remoteIndex
        mark.counter = counter
        mark.count = count
        defer { last = mark }
        return mark.continues(last)
    }

    /// What two datagrams of one conversation have in common.
    private struct Mark {
        var peer = -1
        var keys: UInt32 = 0
        var counter: UInt64 = 0
        var count = 0
        private var fixed: UInt64 = 0
        private var addresses: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        private var ports: UInt32 = 0

        init() {}

        init(_ packet: UnsafeRawPointer, _ inner: InnerPacket) {
            if inner.isIPv4 {
                // Class, fragment, lifetime and protocol; not the identification, which means nothing to whole packets.
                fixed = UInt64(packet.word16(0)) << 32 | UInt64(packet.word32(6))
            } else {
                fixed = UInt64(packet.word32(0)) << 16 | UInt64(packet.word16(6))
            }
            addresses = (inner.source.high, inner.source.low, inner.destination.high, inner.destination.low)
            ports = packet.word32(inner.headerLength)
        }

        @inline(__always)
        func continues(_ before: Mark) -> Bool {
            counter == before.counter &+ 1 && peer == before.peer && keys == before.keys && count <= before.count
                && fixed == before.fixed && ports == before.ports && addresses == before.addresses
        }
    }

    /// TCP's least segment (tcp_min_snd_mss).
    static let leastTCP = 48
    /// The least MTU that IPv6 requires of any link (RFC 8200, section 5).
    private static let leastIPv6 = 1280

    /// A TCP packet of one segment, too large for the path, as a super-packet of smaller ones.
    private func segmented(
        _ packet: UnsafeRawPointer, count: Int, _ header: VirtioHeader, _ inner: InnerPacket, limit: Int
    ) -> VirtioHeader? {
        guard header.flags & VirtioHeader.needsChecksum != 0, inner.transport == InnerPacket.tcp,
            isPlain(header, inner), let headers = inner.lengthOfHeaders(packet, count: count), headers < count,
            limit - headers >= TxPath.leastTCP
        else { return nil }
        var changed = header
        changed.segmentation = inner.isIPv4 ? .tcp4 : .tcp6
        changed.segmentSize = UInt16(limit - headers)
        return changed
    }

    /// Whether the partial checksum is TCP's or UDP's, directly after the IP header, where the receiver finds it.
    @inline(__always)
    private func isPlain(_ header: VirtioHeader, _ inner: InnerPacket) -> Bool {
        Int(header.checksumStart) == inner.headerLength
            && Checksum.offset(of: inner.transport) == Int(header.checksumOffset)
    }

    /// A checksum of another kind is completed here; the field holds the sum of the pseudo header.
    private func finishChecksum(_ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader) {
        let start = Int(header.checksumStart), place = start + Int(header.checksumOffset)
        guard start < count, place + 2 <= count else { return }
        packet.setWord16(place, ~Checksum.fold(Checksum.sum(packet + start, count: count - start)))
    }

    private func sealSegments(
        _ packet: UnsafeMutableRawPointer, count: Int, _ header: VirtioHeader, _ inner: InnerPacket, _ route: TxRoute,
        into trains: inout TrainOutbox
    ) -> Verdict {
        let isTCP = header.segmentation != .udp
        guard isPlain(header, inner), (inner.transport == InnerPacket.tcp) == isTCP,
            header.segmentation != .tcp4 || inner.isIPv4, header.segmentation != .tcp6 || !inner.isIPv4,
            let headers = inner.lengthOfHeaders(packet, count: count)
        else { return .dropped(.malformed) }
        let limit = route.state.pointee.datagramBytes - TxPath.overhead - headers
        var size = Int(header.segmentSize)
        if size > limit {
            // A TCP segment may end anywhere; a UDP datagram may not be split.
            guard isTCP, limit >= TxPath.leastTCP else { return .tooBig(limit + headers) }
            size = limit
        }
        // Kernels make no smaller segments of TCP, and no more datagrams of UDP; others would not fit into the outbox.
        let isReasonable = isTCP ? size >= TxPath.leastTCP : size > 0 && (count - headers + size - 1) / size <= 128
        guard isReasonable || size >= count - headers, size > 0 else { return .dropped(.malformed) }
        var cutter = SegmentCutter(packet, inner, headers: headers, isTCP: isTCP)
        var counter = route.takeCounters(max(1, (count - headers + size - 1) / size))
        var offset = headers, flags = PacketFlags.partialChecksum
        repeat {
            let payload = min(size, count - offset)
            let start = cutter.prepare(payload: payload, at: offset, isLast: offset + payload == count)
            seal(start, count: headers + payload, flags: flags, route, counter, mayFragment: false, into: &trains)
            counter &+= 1
            flags = PacketFlags.partialChecksum | PacketFlags.continues
            offset += payload
        } while offset < count
        return .sent
    }

    @inline(__always)
    private func seal(
        _ packet: UnsafeMutableRawPointer, count: Int, flags: UInt8, _ route: TxRoute, _ counter: UInt64,
        mayFragment: Bool, into trains: inout TrainOutbox
    ) {
        let state = route.state
        state.pointee.traffic.packets &+= 1
        let path = state.pointee.remote
        var datagram = trains.append(
            size: count + TxPath.overhead + path.overhead, peer: route.peer, path: path,
            congestion: InnerPacket.congestion(packet), mayFragment: mayFragment)
        if path.isRelayed {
            state.pointee.traffic.relayedBytes &+= UInt64(count + TxPath.overhead)
            TrainOutbox.write(path, at: datagram)
            datagram += path.overhead
        }
        let first = UInt32(DatagramKind.packet.rawValue) << 24 | UInt32(flags) << 16
        datagram.setWord32(0, first)
        datagram.setWord32(4, route.remoteIndex)
        datagram.storeBytes(of: counter.bigEndian, toByteOffset: 8, as: UInt64.self)
        state.pointee.key.seal(
            from: packet, count: count, to: datagram + DatagramHeader.framesSize,
            nonce: Nonce(counter, for: state.pointee.key.cipher),
            aad: UnsafeRawBufferPointer(start: datagram, count: DatagramHeader.framesSize))
    }
}

/// Bits of a packet's second byte.
enum PacketFlags {
    /// The transport checksum is partial; the receiver completes it, or informs its kernel that it need not be complete.
    static let partialChecksum: UInt8 = 1
    /// The next segment of the packet with the counter before: the same headers except for lengths, numbers and flags.
    static let continues: UInt8 = 2
    static let all: UInt8 = 3
}

/// Makes the headers of a super-packet's segments, each in the bytes just before its payload.
private struct SegmentCutter {
    private let packet: UnsafeMutableRawPointer
    private let isIPv4: Bool
    private let isTCP: Bool
    private let headers: Int
    private let transport: Int
    private let sequence: UInt32
    private let identification: UInt16
    private let flags: UInt8
    private var index = 0
    private var previous: UnsafeMutableRawPointer

    init(_ packet: UnsafeMutableRawPointer, _ inner: InnerPacket, headers: Int, isTCP: Bool) {
        self.packet = packet
        self.headers = headers
        self.isTCP = isTCP
        isIPv4 = inner.isIPv4
        transport = inner.headerLength
        previous = packet
        identification = inner.isIPv4 ? packet.word16(4) : 0
        sequence = isTCP ? packet.word32(transport + 4) : 0
        flags = isTCP ? packet.load(fromByteOffset: transport + 13, as: UInt8.self) : 0
    }

    private static let finAndPush: UInt8 = 0x09
    private static let congestionWindowReduced: UInt8 = 0x80

    /// The segment whose payload begins at `offset` of the super-packet; where it begins.
    @inline(__always)
    mutating func prepare(payload: Int, at offset: Int, isLast: Bool) -> UnsafeMutableRawPointer {
        let start = packet + (offset - headers)
        // Payload may be shorter than headers, and then the two overlap.
        if index > 0 { start.copyMemory(from: previous, byteCount: headers) }
        if isIPv4 {
            start.setWord16(2, UInt16(truncatingIfNeeded: headers + payload))
            start.setWord16(4, identification &+ UInt16(truncatingIfNeeded: index))
            Checksum.writeIPv4Header(start, length: transport)
        } else {
            start.setWord16(4, UInt16(truncatingIfNeeded: headers + payload - 40))
        }
        if isTCP {
            start.setWord32(transport + 4, sequence &+ UInt32(truncatingIfNeeded: offset - headers))
            var bits = flags
            if !isLast { bits &= ~SegmentCutter.finAndPush }
            if index > 0 { bits &= ~SegmentCutter.congestionWindowReduced }
            start.storeBytes(of: bits, toByteOffset: transport + 13, as: UInt8.self)
        } else {
            start.setWord16(transport + 4, UInt16(truncatingIfNeeded: 8 + payload))
        }
        index += 1
        previous = start
        return start
    }
}
