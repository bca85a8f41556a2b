import Base
import OrderedCollections
import Wire

/// Packets to addresses with which there is no session yet: the first few of each conversation, for as long as establishing a
/// session may take.
struct WaitingPackets: ~Copyable {
    struct Packet {
        let bytes: [UInt8]
        let header: VirtioHeader
    }
    private struct Queue {
        var packets: [Packet] = []
        let since: Instant
    }
    private var queues = OrderedDictionary<OverlayKey, Queue>()
    private var byteCount = 0
    private var dropped = 0

    private static let patience = Interval.seconds(13)

    /// True if the address is to be looked up: nothing has waited for it so far.
    mutating func hold(
        _ packet: UnsafeRawPointer, count: Int, _ header: VirtioHeader, for key: OverlayKey, now: Instant
    ) -> Bool {
        let isNew = queues[key] == nil
        if isNew, queues.count >= Limits.overlayRequested {
            dropped += 1
            return false
        }
        guard byteCount + count <= Limits.overlayWaitingBytes,
            queues[key]?.packets.count ?? 0 < Limits.overlayWaitingPackets
        else {
            dropped += 1
            if isNew { queues[key] = Queue(since: now) }
            return isNew
        }
        let copy = Packet(bytes: [UInt8](UnsafeRawBufferPointer(start: packet, count: count)), header: header)
        queues[key, default: Queue(since: now)].packets.append(copy)
        byteCount += count
        return isNew
    }

    mutating func release(_ key: OverlayKey) -> [Packet] {
        guard let queue = queues.removeValue(forKey: key) else { return [] }
        byteCount -= queue.packets.reduce(0) { $0 + $1.bytes.count }
        return queue.packets
    }

    mutating func takeDropped() -> Int {
        defer { dropped = 0 }
        return dropped
    }

    var deadline: Instant? { queues.values.first.map { $0.since + WaitingPackets.patience } }

    /// How many packets have waited without success.
    mutating func expire(_ now: Instant) -> Int {
        var count = 0
        // In the order of arrival, so the first is the oldest.
        while let first = queues.elements.first, now - first.value.since >= WaitingPackets.patience {
            count += release(first.key).count
        }
        return count
    }
}
