import Base
import Mesh
import Wire

// The data planes of a `TestPair`: packets in, trains over the path, packets out.

extension TestPair {
    /// A program of `node` sends a packet.
    func submit(_ packet: [UInt8], _ header: VirtioHeader = VirtioHeader(), at node: TestNode) {
        var bytes = packet
        bytes.withUnsafeMutableBytes { memory in
            node.plane.submitted(memory.baseAddress!, count: memory.count, header, now: now, into: &node.planeOutbox)
        }
        drainPlane(node)
    }

    func drainPlane(_ node: TestNode) {
        for index in 0..<node.planeOutbox.trains.count {
            let train = node.planeOutbox.trains[index]
            var offset = 0
            while offset < train.count {
                let count = min(train.segment, train.count - offset)
                let bytes = Array(
                    UnsafeRawBufferPointer(
                        start: node.planeOutbox.trains.memory + train.offset + offset, count: count))
                recorded.append((node.address, train.remote, bytes))
                for copy in path(node, bytes) { flying.append((now + latency, node.address, train.remote, copy)) }
                offset += count
            }
        }
        node.planeOutbox.trains.removeAll()
        node.replies += node.planeOutbox.replies
        node.planeOutbox.replies = []
        let happened = node.planeOutbox.events
        node.planeOutbox.events = []
        for event in happened {
            if case .sessionRequested(let address) = event { node.desired.append(address) }
            node.endpoint.handle(event, now: now, wall: wall, into: &node.outbox)
        }
        if !happened.isEmpty { drain(node) }
    }

    /// Whether a datagram of UDP between these ports comes out at the other end.
    func delivers(_ ports: (UInt16, UInt16), _ from: TestNode, _ to: TestNode) -> Bool {
        to.packets = []
        submit(TestPacket.udp(ports, from: from.address4, to: to.address4, [1]), at: from)
        run(.milliseconds(20))
        return !to.packets.isEmpty
    }

    /// Datagrams of one size, but for the last, arrive in one message.
    func arrive(_ datagrams: [[UInt8]], from: SocketAddress, congestion: UInt8 = 0, at node: TestNode) {
        var message = datagrams.flatMap { $0 }
        message.withUnsafeMutableBytes { memory in
            node.plane.received(
                memory, segment: datagrams[0].count, congestion: congestion, from: from, now: now,
                into: &node.planeOutbox)
            takePackets(node)
        }
        drainPlane(node)
    }

    private func takePackets(_ node: TestNode) {
        let out = node.planeOutbox.packets.pieces
        for index in 0..<node.planeOutbox.packets.count {
            var bytes: [UInt8] = []
            for piece in node.planeOutbox.packets[index] {
                bytes += UnsafeRawBufferPointer(start: out[piece].base, count: out[piece].count)
            }
            let header = bytes.withUnsafeBytes { VirtioHeader($0.baseAddress!) }
            node.packets.append((header!, Array(bytes[VirtioHeader.size...])))
        }
        node.planeOutbox.packets.removeAll()
    }

    /// Two members with data planes, and a session between them.
    static func overlay(
        labels: [[Label]] = [[], []], _ change: (inout MeshConfiguration) -> Void = { _ in }
    ) -> TestPair {
        let pair = members(labels: labels) {
            $0.hasDataPlane = true
            change(&$0)
        }
        pair.drain(pair.a)
        pair.drain(pair.b)
        pair.connect()
        pair.run(.milliseconds(100))
        return pair
    }
}

extension TestNode {
    var address4: IPAddress { endpoint.credentials!.certificate.certificate.overlay4 }
    var address6: IPAddress {
        OverlayAddress.v6(of: node, fleet: endpoint.credentials!.certificate.certificate.fleet)
    }
}

/// Packets as a kernel would make them.
enum TestPacket {
    static func ip(
        _ transport: UInt8, from: IPAddress, to: IPAddress, _ body: [UInt8], congestion: UInt8 = 0
    ) -> [UInt8] {
        var writer = ByteWriter()
        if from.isIPv4 {
            writer.append([0x45, congestion])
            writer.uint16(UInt16(20 + body.count))
            writer.append([0x12, 0x34, 0x40, 0, 64, transport, 0, 0])
            writer.append(from.bytes)
            writer.append(to.bytes)
            let sum = checksum(writer.bytes)
            writer.bytes[10] = UInt8(sum >> 8)
            writer.bytes[11] = UInt8(truncatingIfNeeded: sum)
        } else {
            writer.append([0x60, congestion << 4, 0, 0])
            writer.uint16(UInt16(body.count))
            writer.append([transport, 64])
            writer.append(from.bytes)
            writer.append(to.bytes)
        }
        writer.append(body)
        return writer.bytes
    }

    static func udp(_ ports: (UInt16, UInt16), from: IPAddress, to: IPAddress, _ payload: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.uint16(ports.0)
        writer.uint16(ports.1)
        writer.uint16(UInt16(8 + payload.count))
        writer.uint16(0xabcd)
        writer.append(payload)
        return ip(17, from: from, to: to, writer.bytes)
    }

    /// A super-packet of TCP with 12 bytes of options, its checksum partial.
    static func tcp(
        from: IPAddress, to: IPAddress, _ payload: [UInt8], segment: Int, sequence: UInt32 = 1000,
        flags: UInt8 = 0x18
    ) -> (packet: [UInt8], header: VirtioHeader) {
        var writer = ByteWriter()
        writer.uint16(4000)
        writer.uint16(5000)
        writer.uint32(sequence)
        writer.uint32(7)
        writer.append([0x80, flags, 1, 2, 0, 0, 0, 0])
        writer.append([UInt8](repeating: 1, count: 12))
        writer.append(payload)
        let packet = ip(6, from: from, to: to, writer.bytes)
        var header = VirtioHeader()
        header.flags = VirtioHeader.needsChecksum
        header.checksumStart = UInt16(packet.count - 32 - payload.count)
        header.checksumOffset = 16
        header.headerLength = header.checksumStart + 32
        if payload.count > segment {
            header.segmentation = from.isIPv4 ? .tcp4 : .tcp6
            header.segmentSize = UInt16(segment)
        }
        return (packet, header)
    }

    static func checksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(sum)
    }

    /// Where TCP's payload lies in the conversation, and what it is.
    static func payload(ofTCP packet: [UInt8]) -> (sequence: UInt32, bytes: [UInt8]) {
        let start = packet[0] >> 4 == 4 ? 20 : 40
        let sequence = packet[start + 4..<start + 8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return (sequence, Array(packet[(start + Int(packet[start + 12] >> 4) * 4)...]))
    }
}
