import Base
import Control
import Glibc
import Mesh
import Platform
import Synchronization
import Wire

/// Where packets are copied to during a capture. Shards on several threads share it. It holds a limited number of bytes;
/// packets that come when it is full are counted.
final class CaptureTap: Sendable {
    struct Catch {
        private(set) var packets: [CapturedPacket] = []
        private(set) var droppedInner = 0
        private(set) var droppedOuter = 0
        private var bytes = 0

        mutating func add(_ packet: CapturedPacket) {
            let cost = packet.bytes.count + CaptureTap.cost
            guard bytes + cost <= CaptureTap.limit else {
                if packet.layer == .inner { droppedInner += 1 } else { droppedOuter += 1 }
                return
            }
            bytes += cost
            packets.append(packet)
        }
    }

    private let state = Mutex(Catch())
    private let layer: CaptureLayer?

    /// A packet costs more than its bytes.
    private static let limit = 4 << 20
    private static let cost = 128

    /// Without a layer, both layers are captured.
    init(_ layer: CaptureLayer?) { self.layer = layer }

    func records(_ layer: CaptureLayer) -> Bool { self.layer.map { $0 == layer } ?? true }

    /// What was captured since the last call.
    func take() -> Catch {
        state.withLock { state in
            defer { state = Catch() }
            return state
        }
    }

    func inner(_ packet: [UInt8], isOutward: Bool, path: PathAddress?) {
        put(CapturedPacket(at: Clock.wallNanoseconds(), layer: .inner, isOutward: isOutward, path: path, bytes: packet))
    }

    func outer(_ datagram: UnsafeRawBufferPointer, isOutward: Bool, _ remote: SocketAddress, socket: UInt16) {
        guard records(.outer) else { return }
        let path = CapturedPacket.path(of: datagram, remote, socket: socket, isOutward: isOutward)
        put(
            CapturedPacket(
                at: Clock.wallNanoseconds(), layer: .outer, isOutward: isOutward, path: path, bytes: [UInt8](datagram)))
    }

    /// All datagrams of a batch.
    func outer(_ batch: inout DatagramBatch, isOutward: Bool) {
        guard records(.outer) else { return }
        for position in 0..<batch.count {
            let entry = batch.entries[position]
            batch.withBytes(at: position) { bytes in
                outer(UnsafeRawBufferPointer(bytes), isOutward: isOutward, entry.remote, socket: entry.socket)
            }
        }
    }

    /// All datagrams of a train.
    func outer(_ train: Train, in memory: UnsafeRawPointer) {
        guard records(.outer) else { return }
        for begin in stride(from: 0, to: train.count, by: train.segment) {
            let count = min(train.segment, train.count - begin)
            outer(
                UnsafeRawBufferPointer(start: memory + train.offset + begin, count: count), isOutward: true,
                train.remote, socket: train.socket)
        }
    }

    private func put(_ packet: CapturedPacket) { state.withLock { $0.add(packet) } }
}
