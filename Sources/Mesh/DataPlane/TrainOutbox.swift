package import Base
import Wire

/// Trains to send, in one block of memory that is reused.
package struct TrainOutbox: ~Copyable {
    /// The kernel's limits: UDP_MAX_SEGMENTS, and what an IPv4 packet holds (65,535 less 20 and 8).
    package static let datagramsPerTrain = 64
    package static let bytesPerTrain = 65_507
    /// The most that one packet of the device can become: 64 KiB in segments of TCP's least size (tcp_min_snd_mss, 48),
    /// each with headers of at most 60 + 60 bytes and this layer's 32 and twice 12, and all of it twice.
    static let packetRoom =
        65_536 / TxPath.leastTCP * (TxPath.leastTCP + 120 + TxPath.overhead + DatagramHeader.relayedSize * 2) * 2 + 1024
    private static let capacity = packetRoom + 128 * 1024

    package let memory: UnsafeMutableRawPointer
    private let trains: UnsafeMutablePointer<Train>
    private static let trainCapacity = 512
    package private(set) var count = 0
    package private(set) var byteCount = 0
    /// The last train accepts more datagrams.
    private var isOpen = false
    private var openPeer = -1

    package init() {
        memory = .allocate(byteCount: TrainOutbox.capacity, alignment: 64)
        trains = .allocate(capacity: TrainOutbox.trainCapacity)
    }

    deinit {
        memory.deallocate()
        trains.deallocate()
    }

    package var isEmpty: Bool { count == 0 }
    package subscript(index: Int) -> Train { trains[index] }
    /// All of them, valid until the outbox is changed.
    package var all: UnsafeBufferPointer<Train> { UnsafeBufferPointer(start: trains, count: count) }

    /// Whether any packet of the device would still fit.
    package var hasRoom: Bool {
        byteCount + TrainOutbox.packetRoom <= TrainOutbox.capacity && count + 64 <= TrainOutbox.trainCapacity
    }

    package mutating func removeAll() {
        count = 0
        byteCount = 0
        isOpen = false
        openPeer = -1
    }

    /// The next datagram begins a train.
    mutating func close() { isOpen = false }

    /// Writes what relays are to read before a datagram.
    @inline(__always)
    static func write(_ path: PathAddress, at datagram: UnsafeMutableRawPointer) {
        guard let allocations = path.allocations else { return }
        guard let via = path.via else { return write(allocations, at: datagram) }
        write(via, at: datagram)
        write(allocations, at: datagram + DatagramHeader.relayedSize)
    }

    @inline(__always)
    private static func write(_ allocations: AllocationPair, at datagram: UnsafeMutableRawPointer) {
        datagram.setWord32(0, UInt32(DatagramKind.toRelay.rawValue) << 24)
        datagram.setWord32(4, allocations.far)
        datagram.setWord32(8, allocations.near)
    }

    /// Sends the trains from `first` on once more, on another path than the one that they were written for.
    mutating func repeatTrains(from first: Int, on second: PathAddress, insteadOf path: PathAddress) {
        for index in first..<count {
            let train = trains[index]
            let segment = train.segment - path.overhead + second.overhead
            // The relay header before each datagram may make a full train too long.
            let most = TrainOutbox.bytesPerTrain / segment
            for begin in stride(from: 0, to: train.datagrams, by: most) {
                let start = byteCount, datagrams = min(most, train.datagrams - begin)
                for position in begin..<begin + datagrams {
                    let offset = position * train.segment
                    let size = min(train.segment, train.count - offset) - path.overhead
                    TrainOutbox.write(second, at: memory + byteCount)
                    (memory + byteCount + second.overhead).copyMemory(
                        from: memory + train.offset + offset + path.overhead, byteCount: size)
                    byteCount += second.overhead + size
                }
                (trains + count).initialize(
                    to: Train(
                        remote: second.remote, offset: start, count: byteCount - start, segment: segment,
                        datagrams: datagrams, congestion: train.congestion, mayFragment: train.mayFragment,
                        socket: second.socket))
                count += 1
            }
        }
        isOpen = false
    }

    /// The bytes of the trains from `first` on, all of them on `path`, without relay headers.
    func sealedBytes(from first: Int, on path: PathAddress) -> UInt64 {
        (first..<count).reduce(0) { $0 + UInt64(trains[$1].count - trains[$1].datagrams * path.overhead) }
    }

    /// Room for a datagram of `size` bytes to a peer; joins the train before it where that is allowed.
    @inline(__always)
    mutating func append(
        size: Int, peer: Int, path: PathAddress, congestion: UInt8, mayFragment: Bool
    ) -> UnsafeMutableRawPointer {
        let start = byteCount
        byteCount += size
        if isOpen, openPeer == peer {
            let train = trains + (count - 1)
            if size <= train.pointee.segment, train.pointee.datagrams < TrainOutbox.datagramsPerTrain,
                train.pointee.count + size <= TrainOutbox.bytesPerTrain, train.pointee.congestion == congestion,
                train.pointee.mayFragment == mayFragment, train.pointee.remote == path.remote,
                train.pointee.socket == path.socket
            {
                train.pointee.count += size
                train.pointee.datagrams += 1
                isOpen = size == train.pointee.segment
                return memory + start
            }
        }
        (trains + count).initialize(
            to: Train(
                remote: path.remote, offset: start, count: size, segment: size, datagrams: 1, congestion: congestion,
                mayFragment: mayFragment, socket: path.socket))
        count += 1
        // A datagram that the kernel may fragment is sent alone.
        isOpen = !mayFragment
        openPeer = peer
        return memory + start
    }
}
