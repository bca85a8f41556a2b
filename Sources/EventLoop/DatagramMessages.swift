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

    init(size: Int) {
        precondition(size > 0, "slots of \(size) bytes")
        self.size = size
        memory = .allocate(byteCount: size * ReceiveSlots.count, alignment: 4096)
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

    func remote(_ index: Int) -> SocketAddress? { SocketAddress(names[index]) }
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
