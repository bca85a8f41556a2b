package import Base

/// # One capture
///
/// Packets of the node's interface and its sockets become a pcapng file, a piece at a time, as long as a client reads the
/// pieces. The file has two interfaces: `inner` has the overlay's packets in clear, `outer` the sealed datagrams that carry
/// them. Both are IP packets. Each has a comment that states its peer and its path.
///
/// Keys are never in it: handshakes and frames stay sealed. Super-packets of the overlay are as large as the kernel makes
/// them, and checksums that hardware is to complete are not complete.
package struct CaptureSession: Sendable {
    package let number: Int64
    package let layer: CaptureLayer?
    private let peer: NodeID?
    private let count: Int?
    private let startedAt: UInt64
    private var file: Pcapng
    private var received: [UInt64] = [0, 0]
    private var dropped: [UInt64] = [0, 0]
    /// Nothing is added any more.
    package private(set) var isEnded = false

    /// Bytes that wait to be read; when there are more, packets wait where they are, or are dropped there.
    private static let room = 1 << 20

    /// `peer`: only packets to and from that one. `now`: nanoseconds since 1970.
    package init(number: Int64, layer: CaptureLayer?, peer: NodeID?, count: Int?, version: String, now: UInt64) {
        self.number = number
        self.layer = layer
        self.peer = peer
        self.count = count
        startedAt = now
        file = Pcapng(application: "asterism \(version)")
        file.interface("inner", "packets of the overlay, in clear", linkType: Pcapng.raw)
        file.interface("outer", "datagrams of the mesh, sealed", linkType: Pcapng.raw)
    }

    package var hasRoom: Bool { file.bytes.count < CaptureSession.room }
    package var hasNews: Bool { !file.bytes.isEmpty || isEnded }

    /// A captured packet and its peer. `local` is this node's end of the datagram.
    package mutating func add(_ packet: CapturedPacket, _ party: CapturedPacket.Party, local: SocketAddress) {
        guard !isEnded, layer.map({ $0 == packet.layer }) ?? true, peer.map({ $0 == party.node }) ?? true else {
            return
        }
        let interface = CaptureSession.interface(packet.layer)
        received[interface] += 1
        file.packet(
            packet.packet(local: local), interface: UInt32(interface), at: packet.at, isOutward: packet.isOutward,
            comment: packet.comment(party))
        if let count, Int(received[0] + received[1]) >= count { end(at: packet.at) }
    }

    /// Packets for which there was no room.
    package mutating func lost(_ packets: Int, of layer: CaptureLayer) {
        if !isEnded { dropped[CaptureSession.interface(layer)] += UInt64(packets) }
    }

    package mutating func end(at now: UInt64) {
        guard !isEnded else { return }
        isEnded = true
        for interface in 0..<2 {
            file.statistics(
                interface: UInt32(interface), from: startedAt, to: max(now, startedAt),
                received: received[interface] + dropped[interface], dropped: dropped[interface])
        }
    }

    /// What has come since the last call.
    package mutating func read() -> CaptureView {
        CaptureView(
            capture: number, bytes: file.take(), isFinal: isEnded, packets: Int(received[0] + received[1]),
            dropped: Int(dropped[0] + dropped[1]))
    }

    private static func interface(_ layer: CaptureLayer) -> Int { layer == .inner ? 0 : 1 }
}
