import Base
import Noise
import Wire

// The receiving path of a packet, in the order of the functions:
//
//   socket ──→ received: a message of datagrams ──→ other datagrams ──→ Endpoint
// ──→ open: index → window → cipher in place → window ──→ source, destination, policy
//          ──→ joins the super-packet before it, or begins one ──→ device
//
// The bytes of a super-packet stay where they were opened; the device gets a list of pieces. The virtio header is written
// over the datagram header, which is no longer needed.

/// From sealed datagrams to packets for the device.
struct RxPath: ~Copyable {
    var local: OverlayLocal?
    /// The device takes super-packets of UDP (Linux 6.2).
    var joinsUDP = true
    /// Other threads have the same entries.
    var isShared = false
    /// By the slot of the index.
    private var entries: [RxEntry?] = []
    private var active: [RxEntry] = []
    private var joint = Joint()

    /// The super-packet that is being assembled.
    private struct Joint {
        var entry: RxEntry?
        /// The counter that would continue it.
        var next: UInt64 = 0
        var start: UnsafeMutableRawPointer?
        var inner: InnerPacket?
        /// Bytes of all headers.
        var headers = 0
        /// Payload of a segment, and of all.
        var segment = 0
        var payload = 0
        var segments = 0
        var isPartial = false
        /// A shorter segment ends it.
        var isEnded = false
    }

    mutating func install(_ entry: RxEntry) {
        let slot = Int(entry.index & Limits.sessionSlotMask)
        while entries.count <= slot { entries.append(nil) }
        entries[slot] = entry
    }

    mutating func remove(_ index: UInt32) {
        let slot = Int(index & Limits.sessionSlotMask)
        guard slot < entries.count, entries[slot]?.index == index else { return }
        entries[slot] = nil
    }

    /// Sets other rules for packets under that index. Each thread that shares the entry does this; the last one decides.
    func restrict(_ index: UInt32, to policy: PeerPolicy) {
        let slot = Int(index & Limits.sessionSlotMask)
        guard slot < entries.count, let entry = entries[slot], entry.index == index else { return }
        entry.exclusively(isShared) { entry.state.pointee.policy = policy }
    }

    /// No packet has come under that index for a while. Other threads may be about to open a packet with the same key.
    func rest(_ index: UInt32) {
        let slot = Int(index & Limits.sessionSlotMask)
        guard !isShared, slot < entries.count, let entry = entries[slot], entry.index == index else { return }
        entry.state.pointee.key.rest()
        entry.state.pointee.window.rest()
    }

    /// The peer is gone, and its number may be reused.
    mutating func forget(peer: Int) { active.removeAll { $0.peer == peer } }

    mutating func takeActivity() -> [DataPlaneActivity] {
        defer { active.removeAll(keepingCapacity: true) }
        return active.map { entry in
            entry.exclusively(isShared) { entry.state.pointee.traffic.take(peer: entry.peer, isInward: true) }
        }
    }

    // MARK: - Datagrams

    mutating func received(
        _ bytes: UnsafeMutableRawBufferPointer, segment: Int, congestion: UInt8, from remote: SocketAddress,
        by socket: UInt16, now: Instant, flows: FlowTable, counters: inout DataPlaneCounters,
        into out: inout DataPlaneOutbox
    ) {
        guard let base = bytes.baseAddress, segment > 0 else { return }
        let direct = PathAddress(remote, socket: socket)
        var offset = 0
        while offset < bytes.count {
            var count = min(segment, bytes.count - offset)
            var datagram = base + offset, path = direct
            offset += count
            if let allocations = RxPath.allocations(datagram, count) {
                path.allocations = allocations
                datagram += DatagramHeader.relayedSize
                count -= DatagramHeader.relayedSize
                if let inner = RxPath.allocations(datagram, count) {
                    (path.via, path.allocations) = (allocations, inner)
                    datagram += DatagramHeader.relayedSize
                    count -= DatagramHeader.relayedSize
                }
            }
            guard datagram.load(as: UInt8.self) == DatagramKind.packet.rawValue else {
                // With the relay headers before it.
                let whole = UnsafeRawBufferPointer(start: datagram - path.overhead, count: count + path.overhead)
                out.others.append(reserving: whole.count, remote: remote, socket: socket) { memory in
                    memory.copyMemory(from: whole)
                    return whole.count
                }
                continue
            }
            guard let (entry, counter) = open(datagram, count, from: path, now: now, &counters, into: &out) else {
                continue
            }
            let packet = datagram + DatagramHeader.framesSize, length = count - TxPath.overhead
            // An empty packet keeps a path alive.
            if length == 0 { continue }
            let flags = datagram.load(fromByteOffset: 1, as: UInt8.self)
            // All datagrams of a message have the same congestion mark, so segments that join a packet share it.
            if flags & PacketFlags.continues != 0, joins(packet, length, entry, counter, into: &out) { continue }
            begin(
                packet, length, flags: flags, isCongested: congestion == 3, entry, counter, now: now, flows: flows,
                &counters, into: &out)
        }
        // The next message may be elsewhere in memory, but a train is one message.
        finish(into: &out)
    }

    /// The allocations of a datagram that a relay has carried; `nil` for any other.
    @inline(__always)
    private static func allocations(_ datagram: UnsafeRawPointer, _ count: Int) -> AllocationPair? {
        guard datagram.load(as: UInt8.self) == DatagramKind.fromRelay.rawValue, count > DatagramHeader.relayedSize,
            datagram.word32(0) & 0xff_ffff == 0
        else { return nil }
        return AllocationPair(near: datagram.word32(4), far: datagram.word32(8))
    }

    @inline(__always)
    private mutating func open(
        _ datagram: UnsafeMutableRawPointer, _ count: Int, from remote: PathAddress, now: Instant,
        _ counters: inout DataPlaneCounters, into out: inout DataPlaneOutbox
    ) -> (RxEntry, UInt64)? {
        guard count >= TxPath.overhead, datagram.load(fromByteOffset: 1, as: UInt8.self) & ~PacketFlags.all == 0,
            datagram.word16(2) == 0
        else {
            counters.drop(.badPacket)
            return nil
        }
        let index = datagram.word32(4), slot = Int(index & Limits.sessionSlotMask)
        guard slot < entries.count, let entry = entries[slot], entry.index == index else {
            counters.drop(.unknownSession)
            return nil
        }
        guard now < entry.expiresAt else {
            counters.drop(.expiredKeys)
            return nil
        }
        let counter = UnsafeRawPointer(datagram).word64(8), state = entry.state
        // The window refuses before the cipher is asked, and learns the counter only after it has accepted.
        guard entry.exclusively(isShared, { state.pointee.window.wouldAccept(counter) }) else {
            counters.drop(.replayed)
            return nil
        }
        let sealed = UnsafeMutableRawBufferPointer(
            start: datagram + DatagramHeader.framesSize, count: count - DatagramHeader.framesSize)
        guard
            counter < TransportKeys.counterLimit,
            state.pointee.key.open(
                sealed, nonce: Nonce(counter, for: state.pointee.key.cipher),
                aad: UnsafeRawBufferPointer(start: datagram, count: DatagramHeader.framesSize))
        else {
            counters.drop(.forged)
            return nil
        }
        let isAccepted = entry.exclusively(isShared) {
            guard state.pointee.window.accept(counter) else { return false }
            note(entry, counter, count, from: remote, now: now, into: &out)
            return true
        }
        guard isAccepted else {
            counters.drop(.replayed)
            return nil
        }
        counters.packetsReceived &+= 1
        counters.bytesReceived &+= UInt64(count - TxPath.overhead)
        return (entry, counter)
    }

    @inline(__always)
    private mutating func note(
        _ entry: RxEntry, _ counter: UInt64, _ count: Int, from remote: PathAddress, now: Instant,
        into out: inout DataPlaneOutbox
    ) {
        let state = entry.state
        state.pointee.traffic.packets &+= 1
        if state.pointee.traffic.count(bytes: count - TxPath.overhead, now: now) {
            if !isShared { state.pointee.key.wake() }
            active.append(entry)
        }
        if remote.allocations != nil { state.pointee.traffic.relayedBytes &+= UInt64(count) }
        if !state.pointee.isConfirmed {
            state.pointee.isConfirmed = true
            state.pointee.remote = remote
            out.events.append(.confirmed(index: entry.index, remote))
        }
        if counter >= state.pointee.highest {
            state.pointee.highest = counter
            if state.pointee.remote != remote {
                let isKnown = state.pointee.other == remote
                state.pointee.other = state.pointee.remote
                state.pointee.remote = remote
                if !isKnown { out.events.append(.moved(index: entry.index, remote, counter: counter)) }
            }
        }
    }

    // MARK: - Super-packets

    /// Adds a segment to the super-packet before it; false if it does not continue that.
    @inline(__always)
    private mutating func joins(
        _ packet: UnsafeMutableRawPointer, _ count: Int, _ entry: RxEntry, _ counter: UInt64,
        into out: inout DataPlaneOutbox
    ) -> Bool {
        let headers = joint.headers, payload = count - headers
        guard joint.entry === entry, counter == joint.next, !joint.isEnded, joint.isPartial, payload > 0,
            payload <= joint.segment, joint.payload + payload + headers <= 65_535,
            joint.segments < TrainOutbox.datagramsPerTrain, let inner = joint.inner, let start = joint.start
        else { return false }
        guard joinsUDP || inner.transport == InnerPacket.tcp else { return false }
        if inner.transport == InnerPacket.tcp {
            // A flag that ends a segment ends the whole packet; only the last one has it.
            let place = inner.headerLength + 13
            let bits = packet.load(fromByteOffset: place, as: UInt8.self) & 0x09
            let own = start.load(fromByteOffset: place, as: UInt8.self)
            start.storeBytes(of: own | bits, toByteOffset: place, as: UInt8.self)
        }
        out.packets.add(packet + headers, payload)
        joint.payload += payload
        joint.segments += 1
        joint.next = counter &+ 1
        joint.isEnded = payload < joint.segment
        return true
    }

    private mutating func begin(
        _ packet: UnsafeMutableRawPointer, _ count: Int, flags: UInt8, isCongested: Bool, _ entry: RxEntry,
        _ counter: UInt64, now: Instant, flows: FlowTable, _ counters: inout DataPlaneCounters,
        into out: inout DataPlaneOutbox
    ) {
        finish(into: &out)
        guard let inner = InnerPacket(packet, count: count) else { return counters.drop(.badPacket) }
        guard inner.source == entry.address6 || inner.source == entry.address4 else {
            return counters.drop(.spoofedSource)
        }
        guard let local, local.has(inner.destination) else { return counters.drop(.notForUs) }
        let isAllowed = entry.exclusively(isShared) {
            entry.state.pointee.policy.allowsEverything
                || entry.state.pointee.policy.allows(packet, count: count, inner)
        }
        if !isAllowed, !flows.knows(inward: packet, count: count, inner, now: now) {
            return counters.drop(.denied)
        }
        if isCongested, !InnerPacket.markCongestion(packet) { return counters.drop(.congested) }
        joint.entry = entry
        joint.next = counter &+ 1
        joint.start = packet
        joint.inner = inner
        joint.segments = 1
        joint.isEnded = false
        joint.isPartial = false
        joint.headers = count
        if flags & PacketFlags.partialChecksum != 0, let headers = inner.lengthOfHeaders(packet, count: count) {
            joint.isPartial = true
            joint.headers = headers
        }
        joint.segment = count - joint.headers
        joint.payload = count - joint.headers
        out.packets.add(packet - VirtioHeader.size, VirtioHeader.size + count)
    }

    /// Writes the headers of the assembled super-packet, and passes it on.
    @inline(__always)
    private mutating func finish(into out: inout DataPlaneOutbox) {
        guard let start = joint.start, let inner = joint.inner else { return }
        var header = VirtioHeader()
        if joint.isPartial {
            let total = joint.headers + joint.payload
            if joint.segments > 1 { restoreLengths(start, inner, total) }
            // Nothing else is partial.
            let offset = Checksum.offset(of: inner.transport)!
            let pseudo = Checksum.pseudoHeader(
                start, isIPv4: inner.isIPv4, transport: inner.transport, length: total - inner.headerLength)
            start.setWord16(inner.headerLength + offset, pseudo)
            header.flags = VirtioHeader.needsChecksum
            header.checksumStart = UInt16(truncatingIfNeeded: inner.headerLength)
            header.checksumOffset = UInt16(truncatingIfNeeded: offset)
            if joint.segments > 1 {
                header.segmentation =
                    inner.transport == InnerPacket.udp ? .udp : inner.isIPv4 ? .tcp4 : .tcp6
                header.hasECN =
                    inner.transport == InnerPacket.tcp
                    && start.load(fromByteOffset: inner.headerLength + 13, as: UInt8.self) & 0x80 != 0
                header.headerLength = UInt16(truncatingIfNeeded: joint.headers)
                header.segmentSize = UInt16(truncatingIfNeeded: joint.segment)
            }
        }
        header.write(to: start - VirtioHeader.size)
        out.packets.close()
        joint.start = nil
        joint.entry = nil
    }

    private func restoreLengths(_ start: UnsafeMutableRawPointer, _ inner: InnerPacket, _ total: Int) {
        if inner.isIPv4 {
            start.setWord16(2, UInt16(truncatingIfNeeded: total))
            Checksum.writeIPv4Header(start, length: inner.headerLength)
        } else {
            start.setWord16(4, UInt16(truncatingIfNeeded: total - 40))
        }
        if inner.transport == InnerPacket.udp {
            start.setWord16(inner.headerLength + 4, UInt16(truncatingIfNeeded: total - inner.headerLength))
        }
    }
}
