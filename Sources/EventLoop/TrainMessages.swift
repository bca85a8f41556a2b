import Base
import CLinux
import Glibc

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

    /// One call for some of the trains, from the first on; returns how many were sent, at least one.
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

    /// One train as single datagrams, for kernels that do not segment: returns how many of those from `skipped` on were sent.
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

    /// The control messages of a train: its segment size and its traffic class.
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
