package import Base
import Mesh
package import Wire

/// One packet, as the shell has captured it.
package struct CapturedPacket: Hashable, Sendable {
    /// Nanoseconds since 1970.
    package let at: UInt64
    package let layer: CaptureLayer
    package let isOutward: Bool
    /// By which it went or came; `nil` for a packet of the overlay that has not left.
    package var path: PathAddress?
    /// An IP packet, or what a datagram carries.
    package private(set) var bytes: [UInt8]

    package init(at: UInt64, layer: CaptureLayer, isOutward: Bool, path: PathAddress?, bytes: [UInt8]) {
        self.at = at
        self.layer = layer
        self.isOutward = isOutward
        self.path = path
        self.bytes = bytes
    }

    /// The peer, and the relay if there is one.
    package struct Party: Hashable, Sendable {
        package var node: NodeID?
        package var name: String?
        /// The name of the relay that carried it.
        package var relay: String?

        package init(node: NodeID? = nil, name: String? = nil, relay: String? = nil) {
            self.node = node
            self.name = name
            self.relay = relay
        }
    }

    /// The path of a datagram: the far end, and the allocations at its beginning where a relay carries it.
    package static func path(
        of datagram: UnsafeRawBufferPointer, _ remote: SocketAddress, socket: UInt16, isOutward: Bool
    ) -> PathAddress {
        func allocation(_ offset: Int) -> UInt32 {
            datagram[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
        }
        var path = PathAddress(remote, socket: socket)
        let kind: DatagramKind = isOutward ? .toRelay : .fromRelay
        guard datagram.count > DatagramHeader.relayedSize, datagram[0] == kind.rawValue else { return path }
        func allocations(_ offset: Int) -> AllocationPair {
            let (first, second) = (allocation(offset + 4), allocation(offset + 8))
            return isOutward ? AllocationPair(near: second, far: first) : AllocationPair(near: first, far: second)
        }
        path.allocations = allocations(0)
        let second = DatagramHeader.relayedSize
        if datagram.count > second * 2, datagram[second] == kind.rawValue {
            path.via = path.allocations
            path.allocations = allocations(second)
        }
        return path
    }

    /// Of a packet of the overlay: the peer's end of it.
    package var farOverlayAddress: IPAddress? {
        guard let first = bytes.first else { return nil }
        if first >> 4 == 4, bytes.count >= 20 { return IPAddress(bytes: bytes[isOutward ? 16..<20 : 12..<16]) }
        if first >> 4 == 6, bytes.count >= 40 { return IPAddress(bytes: bytes[isOutward ? 24..<40 : 8..<24]) }
        return nil
    }

    /// `out to gpu-7, direct 192.0.2.7:7950`, `in from gpu-7, relay beacon 192.0.2.2:7950, allocations 3 and 5, packet`.
    package func comment(_ party: Party) -> String {
        let who = party.name ?? party.node?.short ?? "?"
        var text = isOutward ? "out to \(who)" : "in from \(who)"
        guard let path else { return text + ", not sent: no session, or dropped" }
        let over = path.isTCP ? " over TCP" : ""
        if let allocations = path.allocations {
            text += ", relay " + (party.relay.map { "\($0) " } ?? "")
            text += "\(path.remote)\(over), allocations "
            if let via = path.via { text += "\(via.near) here and \(via.far) there, then " }
            text += "\(allocations.near) here and \(allocations.far) there"
        } else {
            text += ", direct \(path.remote)\(over)"
        }
        if path.socket != 0, !path.isTCP { text += ", socket \(path.socket)" }
        return layer == .outer ? text + ", " + kindText : text
    }

    private var kindText: String {
        let inside = bytes.dropFirst(path?.overhead ?? 0).first
        guard let kind = inside.flatMap({ DatagramKind(rawValue: $0) }) else { return "of an unknown kind" }
        return switch kind {
        case .handshakeFirst: "first message of a handshake"
        case .handshakeSecond: "second message of a handshake"
        case .cookieReply: "cookie"
        case .frames: "frames"
        case .packet: "packet"
        case .toRelay, .fromRelay: "relayed for others"
        case .bind: "bind of an allocation"
        case .bindAnswer: "answer to a bind"
        }
    }

    /// The IP packet. For a packet of the overlay it is the bytes themselves. A datagram gets its IP and UDP headers,
    /// as far as they are known; `local` is this node's end. A datagram over TCP gets the headers that it would have
    /// had over UDP.
    package func packet(local: SocketAddress) -> [UInt8] {
        guard layer == .outer, let far = path?.remote else { return bytes }
        // Ends of two families are a mistake of the caller's; the far one is known for sure.
        let near = local.ip.isIPv4 == far.ip.isIPv4 ? local : SocketAddress(far.ip.isIPv4 ? .any4 : .any6, local.port)
        let (source, destination) = isOutward ? (near, far) : (far, near)
        return CapturedPacket.datagram(bytes, from: source, to: destination)
    }

    /// RFC 791, 8200 and 768.
    private static func datagram(
        _ payload: [UInt8], from source: SocketAddress, to destination: SocketAddress
    ) -> [UInt8] {
        let length = UInt16(clamping: payload.count + 8), isIPv4 = source.ip.isIPv4
        var udp = ByteWriter(reserving: 8)
        udp.uint16(source.port)
        udp.uint16(destination.port)
        udp.uint16(length)
        // None is allowed over IPv4, and not over IPv6.
        udp.uint16(0)
        var ip = ByteWriter(reserving: payload.count + 48)
        if isIPv4 {
            ip.append([0x45, 0])
            ip.uint16(UInt16(clamping: payload.count + 28))
            // No identification, not to be cut in pieces, 64 hops, UDP.
            ip.append([0, 0, 0x40, 0, 64, 17, 0, 0])
            ip.append(source.ip.bytes + destination.ip.bytes)
            let sum = Checksum.of(ip.bytes)
            ip.bytes[10] = UInt8(truncatingIfNeeded: sum >> 8)
            ip.bytes[11] = UInt8(truncatingIfNeeded: sum)
        } else {
            ip.append([0x60, 0, 0, 0])
            ip.uint16(length)
            ip.append([17, 64])
            ip.append(source.ip.bytes + destination.ip.bytes)
            var pseudo = ByteWriter()
            pseudo.append(source.ip.bytes + destination.ip.bytes)
            pseudo.uint32(UInt32(length))
            pseudo.uint32(17)
            let sum = Checksum.of(pseudo.bytes + udp.bytes + payload)
            udp.bytes[6] = UInt8(truncatingIfNeeded: sum >> 8)
            udp.bytes[7] = UInt8(truncatingIfNeeded: sum)
            if sum == 0 { udp.bytes.replaceSubrange(6..<8, with: [0xff, 0xff]) }
        }
        return ip.bytes + udp.bytes + payload
    }
}
