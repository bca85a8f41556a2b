import Base

/// Datagrams in flight. Slots are reused; an unauthenticated peer's oversized datagram makes its slot larger.
final class DatagramPool {
    struct Slot {
        var memory: UnsafeMutableRawBufferPointer
        var count: Int
        var flight: Internet.Flight
        /// Which of the sender's sockets.
        var socket: UInt16 = 0
        /// Index of the machine, or -1.
        var sender: Int32
    }
    private static let slotBytes = 1536
    private(set) var slots: [Slot] = []
    private var free: [Int32] = []

    deinit { for slot in slots { slot.memory.deallocate() } }

    var inFlight: Int { slots.count - free.count }

    func add(
        _ bytes: UnsafeRawBufferPointer, _ flight: Internet.Flight, sender: Int32
    ) -> Int32 {
        let index: Int32
        if let reused = free.popLast() {
            index = reused
        } else {
            index = Int32(slots.count)
            slots.append(
                Slot(
                    memory: .allocate(byteCount: DatagramPool.slotBytes, alignment: 16), count: 0, flight: flight,
                    sender: sender))
        }
        let position = Int(index)
        if slots[position].memory.count < bytes.count {
            slots[position].memory.deallocate()
            slots[position].memory = .allocate(byteCount: bytes.count, alignment: 16)
        }
        slots[position].memory.copyMemory(from: bytes)
        slots[position].count = bytes.count
        slots[position].flight = flight
        slots[position].socket = 0
        slots[position].sender = sender
        return index
    }

    func setSocket(_ index: Int32, _ socket: UInt16) { slots[Int(index)].socket = socket }

    /// It has passed the gateways of its sender.
    func send(_ index: Int32, on flight: Internet.Flight) { slots[Int(index)].flight = flight }

    func bytes(_ index: Int32) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: slots[Int(index)].memory[..<slots[Int(index)].count])
    }

    func copy(_ index: Int32) -> Int32 {
        let slot = slots[Int(index)]
        return add(UnsafeRawBufferPointer(bytes(index)), slot.flight, sender: slot.sender)
    }

    func release(_ index: Int32) { free.append(index) }

    /// The last eight bytes, where an authentic datagram has its tag.
    func tail(_ index: Int32) -> UInt64 {
        let all = bytes(index)
        guard all.count >= 8 else { return UInt64(all.count) }
        return all.loadUnaligned(fromByteOffset: all.count - 8, as: UInt64.self)
    }
}
