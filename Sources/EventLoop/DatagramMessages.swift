import Base
import CLinux
import Glibc

/// Where recvmmsg(2) puts datagrams before they move, one behind the other, into a batch. A slot holds the longest one,
/// but only the pages that were ever written to cost memory, and all sockets of a loop share one set.
final class ReceiveSlots {
    /// Datagrams a system call: at 32 the call's own cost is a small part of the copying.
    static let count = 32

    let size: Int
    private let memory: UnsafeMutableRawPointer
    private let names = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: count)
    private let vectors = UnsafeMutablePointer<asterism_iovec>.allocate(capacity: count)
    private let messages = UnsafeMutablePointer<asterism_mmsghdr>.allocate(capacity: count)
    /// Room for the control messages of one datagram: UDP_GRO and the traffic class.
    private let controls: UnsafeMutableRawPointer
    private static let controlSize = 64

    init(size: Int) {
        precondition(size > 0, "slots of \(size) bytes")
        self.size = size
        memory = .allocate(byteCount: size * ReceiveSlots.count, alignment: 4096)
        controls = .allocate(byteCount: ReceiveSlots.controlSize * ReceiveSlots.count, alignment: 16)
        names.initialize(repeating: sockaddr_storage(), count: ReceiveSlots.count)
        for index in 0..<ReceiveSlots.count {
            (vectors + index).initialize(to: asterism_iovec(base: memory + index * size, count: size))
            (messages + index).initialize(to: asterism_mmsghdr())
            messages[index].name = UnsafeMutableRawPointer(names + index)
            messages[index].vectors = vectors + index
            messages[index].vector_count = 1
        }
    }

    deinit {
        memory.deallocate()
        controls.deallocate()
        names.deallocate()
        vectors.deallocate()
        messages.deallocate()
    }

    /// Fills slots from the socket; tells how many.
    func receive(_ socket: Int32, limit: Int) throws(Errno) -> Int {
        for index in 0..<ReceiveSlots.count {
            // The kernel writes the lengths that it used here.
            messages[index].name_count = socklen_t(MemoryLayout<sockaddr_storage>.size)
            messages[index].flags = 0
            messages[index].control = controls + index * ReceiveSlots.controlSize
            messages[index].control_count = ReceiveSlots.controlSize
            names[index].ss_family = sa_family_t(AF_UNSPEC)
            vectors[index].count = min(limit, size)
        }
        return Int(
            try syscall("recvmmsg") {
                asterism_recvmmsg(socket, messages, UInt32(ReceiveSlots.count), Int32(MSG_DONTWAIT))
            })
    }

    func datagram(_ index: Int) -> (bytes: UnsafeRawBufferPointer, isTruncated: Bool) {
        let message = messages[index]
        let bytes = UnsafeRawBufferPointer(start: memory + index * size, count: Int(message.count))
        return (bytes, message.flags & Int32(MSG_TRUNC) != 0)
    }

    /// All of a message, to be changed in place.
    func memory(_ index: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory + index * size, count: Int(messages[index].count))
    }

    func remote(_ index: Int) -> SocketAddress? { SocketAddress(names[index]) }

    /// What the kernel told besides the bytes: how long each datagram is, where it has joined several (0: it has not), and
    /// the traffic class.
    func notes(_ index: Int) -> (segment: Int, trafficClass: UInt8) {
        var segment = 0, trafficClass: UInt8 = 0, offset = 0
        let control = controls + index * ReceiveSlots.controlSize, end = messages[index].control_count
        // struct cmsghdr: length 8, level 4, type 4; the next one begins at a multiple of 8.
        while offset + 16 <= end {
            let length = control.load(fromByteOffset: offset, as: Int.self)
            guard length >= 16, offset + length <= end else { break }
            let level = control.load(fromByteOffset: offset + 8, as: Int32.self)
            let kind = control.load(fromByteOffset: offset + 12, as: Int32.self)
            if level == DatagramOffload.level, kind == DatagramOffload.gro, length >= 20 {
                segment = Int(control.load(fromByteOffset: offset + 16, as: Int32.self))
            } else if level == IPPROTO_IP, kind == IP_TOS, length >= 17 {
                trafficClass = control.load(fromByteOffset: offset + 16, as: UInt8.self)
            } else if level == IPPROTO_IPV6, kind == IPV6_TCLASS, length >= 20 {
                trafficClass = UInt8(truncatingIfNeeded: control.load(fromByteOffset: offset + 16, as: Int32.self))
            }
            offset += (length + 7) & ~7
        }
        return (segment, trafficClass)
    }
}

/// The headers that sendmmsg(2) reads, pointing into a batch.
final class SendMessages {
    /// Datagrams a system call, the kernel's own limit being 1024 (UIO_MAXIOV).
    static let count = 64

    private let names = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: count)
    private let vectors = UnsafeMutablePointer<asterism_iovec>.allocate(capacity: count)
    private let messages = UnsafeMutablePointer<asterism_mmsghdr>.allocate(capacity: count)

    init() {
        names.initialize(repeating: sockaddr_storage(), count: SendMessages.count)
        vectors.initialize(repeating: asterism_iovec(), count: SendMessages.count)
        messages.initialize(repeating: asterism_mmsghdr(), count: SendMessages.count)
    }

    deinit {
        names.deallocate()
        vectors.deallocate()
        messages.deallocate()
    }

    /// One call; tells how many datagrams from `first` on went, at least one.
    func send(_ socket: Int32, _ batch: inout DatagramBatch, from first: Int, toRemotes: Bool) throws(Errno) -> Int {
        let count = min(SendMessages.count, batch.count - first)
        for index in 0..<count {
            // The memory stays where it is until the batch grows, and nobody touches the batch during the call.
            vectors[index] = batch.withBytes(at: first + index) {
                asterism_iovec(base: $0.baseAddress, count: $0.count)
            }
            messages[index].vectors = vectors + index
            messages[index].vector_count = 1
            guard toRemotes else { continue }
            let memory = UnsafeMutableRawBufferPointer(
                start: names + index, count: MemoryLayout<sockaddr_storage>.size)
            messages[index].name_count = batch.entries[first + index].remote.write(to: memory)
            messages[index].name = memory.baseAddress
        }
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return Int(try syscall("sendmmsg") { asterism_sendmmsg(socket, messages, UInt32(count), flags) })
    }
}

/// Trains of datagrams by one call each (udp(7), UDP_SEGMENT and UDP_GRO).
enum DatagramOffload {
    /// SOL_UDP.
    static let level: Int32 = 17
    static let segment: Int32 = 103
    static let gro: Int32 = 104
}

/// The headers by which trains are sent.
final class TrainMessages {
    private static let count = 64
    private static let controlSize = 48
    private let names = UnsafeMutablePointer<sockaddr_storage>.allocate(capacity: count)
    private let vectors = UnsafeMutablePointer<asterism_iovec>.allocate(capacity: count)
    private let messages = UnsafeMutablePointer<asterism_mmsghdr>.allocate(capacity: count)
    private let controls = UnsafeMutableRawPointer.allocate(byteCount: controlSize * count, alignment: 16)

    init() {
        names.initialize(repeating: sockaddr_storage(), count: TrainMessages.count)
        vectors.initialize(repeating: asterism_iovec(), count: TrainMessages.count)
        messages.initialize(repeating: asterism_mmsghdr(), count: TrainMessages.count)
        controls.initializeMemory(as: UInt8.self, repeating: 0, count: TrainMessages.controlSize * TrainMessages.count)
    }

    deinit {
        names.deallocate()
        vectors.deallocate()
        messages.deallocate()
        controls.deallocate()
    }

    /// One call for some of the trains, from the first on; tells how many went, at least one.
    func send(
        _ socket: Int32, _ trains: UnsafeBufferPointer<Train>, from first: Int, in memory: UnsafeMutableRawPointer
    ) throws(Errno) -> Int {
        let count = min(TrainMessages.count, trains.count - first)
        for index in 0..<count {
            let train = trains[first + index]
            fill(index, train.remote, memory + train.offset, train.count)
            note(index, train)
        }
        return try send(socket, count)
    }

    /// One train as single datagrams, for kernels that do not cut: tells how many of those from `skipped` on went.
    func sendSingly(
        _ socket: Int32, _ train: Train, skipping skipped: Int, in memory: UnsafeMutableRawPointer
    ) throws(Errno) -> Int {
        let count = min(TrainMessages.count, train.datagrams - skipped)
        for index in 0..<count {
            let offset = (skipped + index) * train.segment
            fill(index, train.remote, memory + train.offset + offset, min(train.segment, train.count - offset))
            var single = train
            single.datagrams = 1
            note(index, single)
        }
        return try send(socket, count)
    }

    private func send(_ socket: Int32, _ count: Int) throws(Errno) -> Int {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        return Int(try syscall("sendmmsg") { asterism_sendmmsg(socket, messages, UInt32(count), flags) })
    }

    private func fill(_ index: Int, _ remote: SocketAddress, _ base: UnsafeMutableRawPointer, _ count: Int) {
        vectors[index] = asterism_iovec(base: base, count: count)
        let name = UnsafeMutableRawBufferPointer(start: names + index, count: MemoryLayout<sockaddr_storage>.size)
        messages[index].name_count = remote.write(to: name)
        messages[index].name = name.baseAddress
        messages[index].vectors = vectors + index
        messages[index].vector_count = 1
    }

    /// The control messages of a train: how to cut it, and its traffic class.
    private func note(_ index: Int, _ train: Train) {
        let control = controls + index * TrainMessages.controlSize
        var used = 0
        if train.datagrams > 1 {
            control.storeBytes(of: 18, as: Int.self)
            control.storeBytes(of: DatagramOffload.level, toByteOffset: 8, as: Int32.self)
            control.storeBytes(of: DatagramOffload.segment, toByteOffset: 12, as: Int32.self)
            control.storeBytes(of: UInt16(train.segment), toByteOffset: 16, as: UInt16.self)
            used = 24
        }
        if train.congestion != 0 {
            let isIPv4 = train.remote.ip.isIPv4
            control.storeBytes(of: 20, toByteOffset: used, as: Int.self)
            control.storeBytes(of: isIPv4 ? levelIPv4 : levelIPv6, toByteOffset: used + 8, as: Int32.self)
            control.storeBytes(of: isIPv4 ? IP_TOS : IPV6_TCLASS, toByteOffset: used + 12, as: Int32.self)
            control.storeBytes(of: Int32(train.congestion), toByteOffset: used + 16, as: Int32.self)
            used += 24
        }
        messages[index].control = used > 0 ? control : nil
        messages[index].control_count = used
    }

    private let levelIPv4 = Int32(IPPROTO_IP)
    private let levelIPv6 = Int32(IPPROTO_IPV6)
}
