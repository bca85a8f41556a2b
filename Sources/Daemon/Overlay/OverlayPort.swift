package import Base
package import Control
package import EventLoop
import Glibc
package import Mesh

/// # The overlay's shell
///
/// A TUN device and the node's UDP port, with a `DataPlane` between them. It reads, hands on and writes; what a packet
/// means is the data plane's business. Where the port takes no more, the device rests until it does, so that what waits
/// lies in the kernel's queue, where its senders can see it.
package final class OverlayPort {
    package struct Settings: Hashable, Sendable {
        /// A name for the interface, or a pattern with `%d`.
        package var interface = "asterism%d"
        package var wantsOffload = true
        /// The interface's MTU: 1500 less IPv6, UDP, and what a sealed packet adds.
        package var mtu = 1420
        /// Packets that wait in the interface: few, since each may be 64 KiB.
        package var queue = 64

        package init() {}
    }

    /// Super-packets of the device are no larger than what fits into one train: 45 segments of 1452 bytes.
    private static let gsoMax = 62_000
    /// Sealed bytes that are sent at once rather than collected further: they are still in the processor's cache.
    private static let flushBytes = 40 << 10

    private let loop: Loop
    private let settings: Settings
    private var device: TunDevice!
    private var plane: DataPlane
    private var out = DataPlaneOutbox()
    private var port: MeshPort?
    private var handed = DatagramBatch(capacity: 4096)
    private var sentTrains = 0
    private var isBlocked = false
    private var turn: Instant?
    private var others: ((inout DatagramBatch) -> Void)?
    private var events: (([DataPlaneEvent]) -> Void)?
    /// The interface is gone.
    package var lost: (() -> Void)?
    /// A path carries less than was thought.
    private var tooLarge: ((SocketAddress) -> Void)?
    private var configured: OverlayPlace?
    /// Why the interface has not the addresses that it should.
    package private(set) var problem: String?

    /// Makes the interface. Throws what stands in the way.
    package init(on loop: Loop, _ settings: Settings) throws(Errno) {
        self.loop = loop
        self.settings = settings
        plane = DataPlane()
        let me = Weak<OverlayPort>()
        device = try TunDevice(
            on: loop, named: settings.interface, wantsOffload: settings.wantsOffload,
            onPacket: { me.object?.submit($0, $1) ?? false }, onDrained: { me.object?.endTurn() },
            onLost: { me.object?.lost?() })
        plane = DataPlane(takesUDP: device.offload.contains(.udp))
        try device.configure(mtu: settings.mtu, queue: settings.queue, gsoMax: OverlayPort.gsoMax)
        me.object = self
    }

    package var interface: String { device.name }
    /// What the kernel leaves to this program, for people.
    package var offload: String {
        let parts: [(TunDevice.Offload, String)] = [(.checksum, "checksum"), (.tcp, "TSO"), (.udp, "USO")]
        let names = parts.filter { device.offload.contains($0.0) }.map { $0.1 }
        return names.isEmpty ? "none" : names.joined(separator: " ")
    }

    /// Begins to carry packets. `others` gets datagrams that are not packets; `events` what the data plane has learned.
    package func attach(
        _ port: MeshPort, others: @escaping (inout DatagramBatch) -> Void,
        events: @escaping ([DataPlaneEvent]) -> Void, tooLarge: @escaping (SocketAddress) -> Void
    ) {
        self.port = port
        self.others = others
        self.events = events
        self.tooLarge = tooLarge
        let me = Weak(self)
        port.attach(
            MeshPort.Receiver(
                message: { me.object?.receive($0, $1, $2, $3) }, round: { me.object?.endTurn() },
                writable: { me.object?.goOn() }, tooLarge: { me.object?.tooLarge?($0) }))
    }

    package func close() {
        device.close()
        (port, others, events, tooLarge) = (nil, nil, nil, nil)
    }

    // MARK: - Outwards

    private var now: Instant {
        if let turn { return turn }
        let now = loop.now
        turn = now
        return now
    }

    private func submit(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        plane.submitted(frame: bytes, count: count, now: now, into: &out)
        if out.trains.byteCount >= OverlayPort.flushBytes || !out.trains.hasRoom { sendTrains() }
        return !isBlocked
    }

    private func sendTrains() {
        guard let port, !out.trains.isEmpty else { return }
        let next = port.send(out.trains.all, from: sentTrains, in: out.trains.memory)
        if next < out.trains.count {
            sentTrains = next
            isBlocked = true
            device.pause()
            return
        }
        out.trains.removeAll()
        sentTrains = 0
        if isBlocked {
            isBlocked = false
            device.resume()
        }
    }

    private func goOn() {
        sendTrains()
        endTurn()
    }

    // MARK: - Inwards

    private func receive(
        _ bytes: UnsafeMutableRawBufferPointer, _ segment: Int, _ congestion: UInt8, _ remote: SocketAddress
    ) {
        if !out.packets.hasRoom { writePackets() }
        plane.received(bytes, segment: segment, congestion: congestion, from: remote, now: now, into: &out)
    }

    private func writePackets() {
        // A piece is laid out as the kernel's iovec: an address and a count.
        let pieces = UnsafeRawPointer(out.packets.pieces).assumingMemoryBound(to: iovec.self)
        for index in 0..<out.packets.count {
            let range = out.packets[index]
            device.write(pieces + range.lowerBound, count: range.count)
        }
        out.packets.removeAll()
        guard !out.replies.isEmpty else { return }
        for reply in out.replies { write(reply) }
        out.replies.removeAll()
    }

    private func write(_ packet: [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.size) + packet
        bytes.withUnsafeMutableBytes { memory in
            var piece = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
            device.write(&piece, count: 1)
        }
    }

    private func endTurn() {
        writePackets()
        sendTrains()
        turn = nil
        if !out.events.isEmpty {
            let happened = out.events
            out.events.removeAll()
            events?(happened)
        }
        if !out.others.isEmpty {
            // What they bring about comes back to `out`.
            swap(&out.others, &handed)
            others?(&handed)
            handed.removeAll()
        }
    }

    // MARK: - From the agent

    package func apply(_ changes: [DataPlaneChange]) {
        for change in changes {
            plane.apply(change, now: loop.now, into: &out)
        }
        // Packets that waited for the change.
        sendTrains()
    }

    package func unreachable(_ address: IPAddress) {
        plane.unreachable(address, now: loop.now, into: &out)
        writePackets()
    }

    /// To be called about once a second.
    package func takeActivity() -> [DataPlaneActivity] {
        plane.tick(now: loop.now)
        return plane.takeActivity()
    }

    package var counters: [(name: String, count: Int)] {
        plane.counters.all + [("overlay.writeErrors", Int(device.writeErrors.values.reduce(0, +)))]
    }

    /// Gives the interface its addresses. What it has already is left alone.
    package func configure(_ place: OverlayPlace) {
        guard place != configured else { return }
        do throws(Errno) {
            // Without its network nothing is known of the IPv4 addresses of others.
            if let address = place.v4 { try device.add(address, prefix: place.network4?.length ?? 32) }
            try device.add(place.v6, prefix: place.network6.length)
            configured = place
            problem = nil
        } catch { problem = "\(device.name) gets no address: \(error.message)" }
    }
}
