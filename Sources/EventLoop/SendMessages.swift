import Base
import CLinux
import Glibc

/// The headers that sendmmsg(2) reads, pointing into a batch.
final class SendMessages {
    /// Datagrams per system call. The kernel's own limit is 1024 (UIO_MAXIOV).
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

    /// One call; returns how many datagrams from `first` on were sent, at least one.
    func send(_ socket: Int32, _ batch: inout DatagramBatch, from first: Int, toRemotes: Bool) throws(Errno) -> Int {
        let count = min(SendMessages.count, batch.count - first)
        for index in 0..<count {
            // The memory does not move until the batch grows, and nothing changes the batch during the call.
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
