import Base
import CLinux
import Glibc

/// Where recvmmsg(2) puts datagrams before they move, one behind the other, into a batch. A slot holds the longest one,
/// but only pages that were written to use memory. All sockets of a loop share one set.
final class ReceiveSlots {
    /// Datagrams per system call: at 32 the cost of the call itself is small beside that of the copying.
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

    /// Fills slots from the socket; returns how many.
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

    /// The bytes of a message, to be changed in place.
    func memory(_ index: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(start: memory + index * size, count: Int(messages[index].count))
    }

    func remote(_ index: Int) -> SocketAddress? { SocketAddress(names[index]) }

    /// What the kernel reported with the bytes: the length of each datagram where it has joined several (0: it has not), and
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
