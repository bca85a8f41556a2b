import Base
import Mesh
import Noise
import Wire

/// # Hostile packets
///
/// The data plane's two directions work on raw memory, so they must never read or write outside of it. Input comes from three
/// sources: what a program of this node makes the kernel hand over (`frame`), what a member that holds keys seals (`sealed`),
/// and what an unauthenticated peer or a bad network makes of a datagram (`mangled`). After each input the bytes around every
/// buffer must be unchanged. A datagram to the peer must open there. A packet to the device must be a whole packet from the
/// peer to this node, with a valid virtio header.
package struct PlaneFuzz: ~Copyable {
    package struct Complaint: Error, CustomStringConvertible {
        package var input: UInt64
        package var description: String
    }

    package enum Variant: String, CaseIterable, Sendable {
        case frame
        case sealed
        case mangled
    }

    private static let margin = 256
    private static let guardByte: UInt8 = 0xa5
    private static let mine = IPAddress.v4(0x6440_0001), peers = IPAddress.v4(0x6440_0002)
    private static let mine6 = IPAddress.v6(high: 0xfd00 << 48, low: 1)
    private static let peers6 = IPAddress.v6(high: 0xfd00 << 48, low: 2)
    private static let remote = SocketAddress(.v4(0x0a00_0001), 7950)

    private var mutator: Mutator
    private let cipher: Cipher
    private var near = DataPlane()
    private var far = DataPlane()
    private var out = DataPlaneOutbox()
    private var farOut = DataPlaneOutbox()
    private let key: SecretBytes
    /// A member's own counter.
    private var counter: UInt64 = 0
    /// The buffer of the device, and that of a socket, with a margin on both sides.
    private let frame: UnsafeMutableRawBufferPointer
    private let message: UnsafeMutableRawBufferPointer
    private var now = Instant.origin + .seconds(1)
    package private(set) var done: UInt64 = 0
    /// Packets that went out, and packets that came to the device.
    package private(set) var sent: UInt64 = 0
    package private(set) var delivered: UInt64 = 0

    package init(seed: UInt64) {
        mutator = Mutator(Random(Seed(seed)))
        cipher = seed % 2 == 0 && Cipher.aesGCM.isAvailable ? .aesGCM : .chaChaPoly
        key = SecretBytes((0..<Cipher.keyCount).map { UInt8(truncatingIfNeeded: UInt64($0) + seed) })
        frame = .allocate(byteCount: 65_536 + VirtioHeader.size + 2 * PlaneFuzz.margin, alignment: 64)
        message = .allocate(byteCount: 65_536 + 2 * PlaneFuzz.margin, alignment: 64)
        frame.initializeMemory(as: UInt8.self, repeating: PlaneFuzz.guardByte)
        message.initializeMemory(as: UInt8.self, repeating: PlaneFuzz.guardByte)
    }

    deinit {
        frame.deallocate()
        message.deallocate()
    }

    package mutating func run(_ count: UInt64) throws(Complaint) {
        for _ in 0..<count {
            if done % 4096 == 0 { begin() }
            let variant = mutator.pick(Variant.allCases)
            if let complaint = one(variant) {
                throw Complaint(input: done, description: "\(variant.rawValue): \(complaint)")
            }
            done += 1
        }
    }

    // MARK: - The fleet of two

    private mutating func begin() {
        counter = 0
        near = DataPlane(takesUDP: mutator.random.chance(3, in: 4))
        far = DataPlane()
        // Sometimes of another application, so that ports and flows are checked.
        let isStrange = mutator.random.chance(1, in: 3), limit = mutator.pick([1472, 1452, 1252, 8972])
        for change in changes(PlaneFuzz.mine, PlaneFuzz.mine6, PlaneFuzz.peers, PlaneFuzz.peers6, isStrange, limit) {
            near.apply(change, now: now, into: &out)
        }
        for change in changes(PlaneFuzz.peers, PlaneFuzz.peers6, PlaneFuzz.mine, PlaneFuzz.mine6, false, limit) {
            far.apply(change, now: now, into: &farOut)
        }
    }

    private func changes(
        _ own4: IPAddress, _ own6: IPAddress, _ other4: IPAddress, _ other6: IPAddress, _ isStrange: Bool,
        _ limit: Int
    ) -> [DataPlaneChange] {
        func certificate(_ app: String) -> Certificate {
            Certificate(
                fleet: FleetID(1, 2), serial: 1, node: NodeID([UInt8](repeating: 1, count: 32))!, roles: .agent,
                notBefore: UnixTime(milliseconds: 0), notAfter: UnixTime(milliseconds: 1), name: "x",
                labels: [Label("app", app)])
        }
        let policy = PeerPolicy(
            own: certificate("a"), peer: certificate(isStrange ? "b" : "a"),
            rules: (try? PolicyRule(parsing: "tcp:80,8000-8099")).map { [$0] } ?? [])
        return [
            .local(OverlayLocal(address4: own4, address6: own6)),
            .install(
                RxEntry(
                    index: 7, peer: 0, key: CipherKey(cipher, key: key), address4: other4, address6: other6,
                    policy: policy, remote: PathAddress(PlaneFuzz.remote), isConfirmed: true, expiresAt: .distantFuture)
            ),
            .route(
                TxRoute(
                    peer: 0, remoteIndex: 7, key: CipherKey(cipher, key: key), address4: other4, address6: other6,
                    remote: PathAddress(PlaneFuzz.remote), datagramBytes: limit, tracksFlows: isStrange,
                    expiresAt: .distantFuture)),
        ]
    }

    // MARK: - One input

    private mutating func one(_ variant: Variant) -> String? {
        now = now + .microseconds(Int64(mutator.random.next(below: 2000)))
        if mutator.random.chance(1, in: 64) { near.apply(.rest(peer: 0, indices: [7]), now: now, into: &out) }
        if mutator.random.chance(1, in: 64) { far.apply(.rest(peer: 0, indices: [7]), now: now, into: &farOut) }
        switch variant {
        case .frame: return submit()
        case .sealed:
            let (bytes, segment) = message(mangled: false)
            return receive(bytes, segment)
        case .mangled:
            let (bytes, segment) = message(mangled: true)
            return receive(bytes, segment)
        }
    }

    private mutating func submit() -> String? {
        let inner = packet(from: PlaneFuzz.mine, PlaneFuzz.mine6, to: PlaneFuzz.peers, PlaneFuzz.peers6)
        var bytes = virtioHeader(for: inner) + inner
        if mutator.random.chance(1, in: 2) { _ = mutator.change(&bytes, with: bytes) }
        bytes = Array(bytes.prefix(65_536 + VirtioHeader.size))
        let place = UnsafeMutableRawBufferPointer(
            rebasing: frame[PlaneFuzz.margin..<PlaneFuzz.margin + bytes.count])
        place.copyBytes(from: bytes)
        near.submitted(frame: place.baseAddress!, count: bytes.count, now: now, into: &out)
        defer { out.trains.removeAll() }
        if let complaint = untouched(frame, bytes.count) { return complaint }
        let complaint = inspectTrains()
        drain()
        return complaint
    }

    /// What went to the peer, as the peer sees it.
    private mutating func inspectTrains() -> String? {
        for train in out.trains.all {
            sent += UInt64(train.datagrams)
            guard train.datagrams <= TrainOutbox.datagramsPerTrain, train.count <= TrainOutbox.bytesPerTrain,
                train.segment > 0, (train.count + train.segment - 1) / train.segment == train.datagrams,
                train.offset >= 0, train.offset + train.count <= out.trains.byteCount
            else { return "a train of \(train.datagrams) datagrams in \(train.count) bytes" }
            let before = far.counters.packetsReceived
            var copy = [UInt8](UnsafeRawBufferPointer(start: out.trains.memory + train.offset, count: train.count))
            copy.withUnsafeMutableBytes { bytes in
                far.received(
                    bytes, segment: train.segment, congestion: 0, from: PlaneFuzz.remote, now: now, into: &farOut)
                farOut.packets.removeAll()
            }
            guard far.counters.packetsReceived == before + UInt64(train.datagrams), farOut.others.isEmpty else {
                return "of \(train.datagrams) datagrams \(far.counters.packetsReceived - before) open at the peer"
            }
        }
        return nil
    }

    private mutating func receive(_ bytes: [UInt8], _ segment: Int) -> String? {
        let place = UnsafeMutableRawBufferPointer(
            rebasing: message[PlaneFuzz.margin..<PlaneFuzz.margin + bytes.count])
        place.copyBytes(from: bytes)
        near.received(
            place, segment: segment, congestion: mutator.pick([0, 1, 2, 3]), from: PlaneFuzz.remote, now: now,
            into: &out)
        let complaint = inspectPackets(place) ?? untouched(message, bytes.count)
        drain()
        return complaint
    }

    /// What goes to the device, as a kernel reads it.
    private mutating func inspectPackets(_ place: UnsafeMutableRawBufferPointer) -> String? {
        defer { out.packets.removeAll() }
        let low = place.baseAddress!, high = low + place.count
        for index in 0..<out.packets.count {
            var bytes: [UInt8] = []
            for position in out.packets[index] {
                let piece = out.packets.pieces[position]
                guard piece.base >= low, piece.base + piece.count <= high, piece.count > 0 else {
                    return "a piece outside of what was received"
                }
                bytes += UnsafeRawBufferPointer(start: piece.base, count: piece.count)
            }
            delivered += 1
            if let complaint = PlaneFuzz.complaint(of: bytes) { return complaint }
        }
        return nil
    }

    private static func complaint(of bytes: [UInt8]) -> String? {
        guard bytes.count > VirtioHeader.size, let header = bytes.withUnsafeBytes({ VirtioHeader($0.baseAddress!) })
        else { return "no virtio header" }
        let packet = bytes[VirtioHeader.size...], start = packet.startIndex
        func word(_ offset: Int) -> Int { Int(packet[start + offset]) << 8 | Int(packet[start + offset + 1]) }
        func address(_ range: Range<Int>) -> IPAddress? {
            IPAddress(bytes: Array(packet[(start + range.lowerBound)..<(start + range.upperBound)]))
        }
        let isIPv4 = packet[start] >> 4 == 4
        guard packet.count >= (isIPv4 ? 20 : 40), (isIPv4 ? word(2) : word(4) + 40) == packet.count else {
            return "a packet of another length than it states"
        }
        let from = isIPv4 ? address(12..<16) : address(8..<24), to = isIPv4 ? address(16..<20) : address(24..<40)
        guard from == (isIPv4 ? peers : peers6), to == (isIPv4 ? mine : mine6) else {
            return "a packet from \(String(describing: from)) to \(String(describing: to))"
        }
        let needsChecksum = header.flags & VirtioHeader.needsChecksum != 0
        if needsChecksum, Int(header.checksumStart) + Int(header.checksumOffset) + 2 > packet.count {
            return "a checksum outside of its packet"
        }
        if header.segmentation != .none {
            guard needsChecksum, header.segmentSize > 0, Int(header.headerLength) < packet.count else {
                return "a super-packet without a size or a checksum"
            }
        }
        return nil
    }

    private mutating func drain() {
        (out.replies, out.events) = ([], [])
        (farOut.replies, farOut.events) = ([], [])
        out.others.removeAll()
        farOut.others.removeAll()
    }

    private func untouched(_ buffer: UnsafeMutableRawBufferPointer, _ used: Int) -> String? {
        let end = PlaneFuzz.margin + used
        let isWhole =
            buffer[..<PlaneFuzz.margin].allSatisfy { $0 == PlaneFuzz.guardByte }
            && buffer[end..<min(buffer.count, end + PlaneFuzz.margin)].allSatisfy { $0 == PlaneFuzz.guardByte }
        // For the next input, which may be shorter.
        UnsafeMutableRawBufferPointer(rebasing: buffer[PlaneFuzz.margin..<end])
            .initializeMemory(as: UInt8.self, repeating: PlaneFuzz.guardByte)
        return isWhole ? nil : "bytes outside of the buffer were written"
    }

    // MARK: - Inputs

    /// One that fits the packet, or any.
    private mutating func virtioHeader(for packet: [UInt8]) -> [UInt8] {
        var header = VirtioHeader()
        let isIPv4 = packet[0] >> 4 == 4, transport = isIPv4 ? packet[9] : packet[6]
        let length = isIPv4 ? Int(packet[0] & 15) * 4 : 40
        if mutator.random.chance(2, in: 3), transport == 6 || transport == 17 {
            header.flags = VirtioHeader.needsChecksum
            header.checksumStart = UInt16(length)
            header.checksumOffset = transport == 6 ? 16 : 6
        } else if mutator.random.chance(1, in: 2) {
            header.flags = VirtioHeader.needsChecksum
            header.checksumStart = mutator.pick([20, 40, 0, 24])
            header.checksumOffset = mutator.pick([16, 6, 0, 2])
        }
        header.segmentation =
            mutator.random.chance(1, in: 4)
            ? mutator.pick([.none, .tcp4, .tcp6, .udp])
            : packet.count < 1400 ? .none : transport == 17 ? .udp : transport == 6 ? isIPv4 ? .tcp4 : .tcp6 : .none
        header.hasECN = mutator.random.chance(1, in: 8)
        header.segmentSize = mutator.pick([0, 1, 7, 47, 48, 536, 1200, 1300, 1348, 1400, 9000, 65_535])
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.size)
        bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
        return bytes
    }

    /// A valid IP packet, sometimes with an invalid transport header.
    private mutating func packet(
        from source4: IPAddress, _ source6: IPAddress, to destination4: IPAddress, _ destination6: IPAddress
    ) -> [UInt8] {
        let isIPv4 = mutator.random.chance(1, in: 2)
        let transport: UInt8 = mutator.pick([6, 6, 17, 17, 1, 58, 0, 44])
        let payload = mutator.pick([0, 1, 7, 8, 20, 60, 512, 1348, 1400, 4000, 62_000])
        var body = mutator.bytes(min(64, payload)) + [UInt8](repeating: 0x5a, count: max(0, payload - 64))
        let ports: [UInt8] = [0, mutator.pick([80, 22]), 0, mutator.pick([80, 22])]
        switch transport {
        case 6:
            let words = mutator.pick([5, 8, 15, 4, 0])
            body =
                ports + mutator.bytes(8) + [UInt8(words << 4), mutator.pick([0x10, 0x18, 0x19, 0x90, 0x02])]
                + [UInt8](repeating: 0, count: max(6, words * 4 - 14)) + body
        case 17: body = ports + [0, 8, 0, 0] + body
        default: body = [mutator.pick([8, 0, 3, 128]), 0, 0, 0, 0, 1, 0, 1] + body
        }
        if isIPv4 {
            let options = mutator.random.chance(1, in: 8) ? 20 : 0
            let count = min(65_535, 20 + options + body.count)
            var head: [UInt8] = [
                UInt8(0x45 + options / 4), mutator.pick([0, 1, 2, 3]), UInt8(count >> 8), UInt8(count & 255), 0, 1,
                mutator.pick([0x40, 0x20, 0]), mutator.pick([0, 0, 1]), 64, transport, 0, 0,
            ]
            head += source4.bytes + destination4.bytes + [UInt8](repeating: 1, count: options)
            return head + body.prefix(count - head.count)
        }
        let count = min(65_535 - 40, body.count)
        return [0x60, mutator.pick([0, 0x10, 0x30]), 0, 0, UInt8(count >> 8), UInt8(count & 255), transport, 64]
            + source6.bytes + destination6.bytes + body.prefix(count)
    }

    /// A message as a socket returns it, of datagrams that a member has sealed.
    private mutating func message(mangled: Bool) -> (bytes: [UInt8], segment: Int) {
        let sealer = CipherKey(cipher, key: key)
        let count = mutator.pick([1, 2, 3, 16, 64])
        var inner = packet(from: PlaneFuzz.peers, PlaneFuzz.peers6, to: PlaneFuzz.mine, PlaneFuzz.mine6)
        inner = Array(inner.prefix(65_000 / count - 32))
        // Its header states its true length, or it would be dropped early.
        if inner.count >= 40, mutator.random.chance(7, in: 8) {
            let length = inner[0] >> 4 == 4 ? inner.count : inner.count - 40, place = inner[0] >> 4 == 4 ? 2 : 4
            (inner[place], inner[place + 1]) = (UInt8(length >> 8), UInt8(length & 255))
        }
        var all: [UInt8] = [], segment = 0
        for index in 0..<count {
            var packet = inner
            if mutator.random.chance(1, in: 4) { _ = mutator.change(&packet, with: inner) }
            packet = Array(packet.prefix(index == 0 ? 65_000 / count - 32 : max(0, segment - 32)))
            // All datagrams of a message but the last are of one size.
            if index > 0, index < count - 1 {
                packet += [UInt8](repeating: 0, count: max(0, segment - 32 - packet.count))
            }
            let flags = mutator.pick([UInt8(1), 3, 3, 3, 2, 0, 4, 0xff])
            var datagram = seal(packet, flags: flags, sealer)
            if index == 0 { segment = datagram.count }
            if mangled {
                let size = datagram.count
                _ = mutator.change(&datagram, with: all)
                datagram = Array(datagram.prefix(size))
                if index < count - 1 { datagram += [UInt8](repeating: 0, count: size - datagram.count) }
            }
            all += datagram
        }
        return (all, mutator.random.chance(1, in: 16) ? 1 + mutator.random.index(below: 2000) : segment)
    }

    private mutating func seal(_ packet: [UInt8], flags: UInt8, _ key: borrowing CipherKey) -> [UInt8] {
        // Forward, mostly; sometimes again, sometimes far ahead.
        switch mutator.random.index(below: 32) {
        case 0: break
        case 1: counter += mutator.random.next(below: 20_000)
        case 2: counter -= min(counter, mutator.random.next(below: 9000))
        default: counter += 1
        }
        var bytes = [DatagramKind.packet.rawValue, flags, 0, 0, 0, 0, 0, 7]
        for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(counter >> shift & 255)) }
        let head = bytes.count
        bytes += packet + [UInt8](repeating: 0, count: Cipher.tagCount)
        bytes.withUnsafeMutableBytes { memory in
            key.seal(
                from: memory.baseAddress! + head, count: packet.count, to: memory.baseAddress! + head,
                nonce: Nonce(counter, for: cipher),
                aad: UnsafeRawBufferPointer(start: memory.baseAddress, count: head))
        }
        return bytes
    }
}
