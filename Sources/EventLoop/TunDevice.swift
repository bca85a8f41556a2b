package import Base
import CLinux
import Glibc

/// # A network interface whose far end is this process
///
/// What the kernel routes to the interface is read by the process, one packet a read(2), and what is written the kernel
/// takes for received. Each packet has a virtio header before it (IFF_VNET_HDR), by which up to 64 KiB of one conversation
/// pass as one packet, its checksums and its segments left to anyone who sends them on. Which of that the kernel may do is
/// negotiated at the start: all of it, or without UDP's part on kernels before 6.2, or none.
///
/// The interface has one queue or several (IFF_MULTI_QUEUE), so that several threads may read: the kernel keeps each
/// conversation to one of them, the one whose thread writes the answers where it can. A queue is used by a `TunQueue`.
package final class TunDevice {
    package struct Offload: OptionSet, Hashable, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let checksum = Offload(rawValue: 1)
        package static let tcp = Offload(rawValue: 2)
        package static let udp = Offload(rawValue: 4)
    }

    package let name: String
    package let offload: Offload
    private var queues: [Int32] = []

    /// Makes the interface; `name` may be a pattern with `%d`. Throws what stands in the way: ENOENT or ENODEV without
    /// /dev/net/tun, EPERM without CAP_NET_ADMIN, EBUSY where the name is taken.
    package init(named pattern: String, queues count: Int = 1, usesOffload: Bool) throws(Errno) {
        var name = [CChar](repeating: 0, count: 16)
        for (index, byte) in pattern.utf8.prefix(15).enumerated() { name[index] = CChar(bitPattern: byte) }
        var opened: [Int32] = []
        do throws(Errno) {
            for number in 0..<count {
                let shares: Int32 = count == 1 ? 0 : number == 0 ? 1 : 2
                opened.append(try syscall("tun") { asterism_tun_open(&name, shares) })
            }
        } catch {
            for number in opened { Glibc.close(number) }
            throw error
        }
        queues = opened
        self.name = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var granted: Offload = []
        let candidates: [Offload] = usesOffload ? [[.checksum, .tcp, .udp], [.checksum, .tcp], []] : [[]]
        // It is the interface's, not the queue's.
        for candidate in candidates where asterism_tun_set_offload(opened[0], candidate.rawValue) == 0 {
            granted = candidate
            break
        }
        offload = granted
    }

    deinit { close() }

    /// The interface goes with the last descriptor of it.
    package func close() {
        for number in queues { Glibc.close(number) }
        queues = []
    }

    /// Another descriptor of a queue.
    package func descriptor(ofQueue index: Int) throws(Errno) -> FileDescriptor {
        let number = queues[index]
        return FileDescriptor(owning: try syscall("fcntl") { fcntl(number, F_DUPFD_CLOEXEC, 0) })
    }

    package func configure(mtu: Int, queue: Int, gsoMax: Int) throws(Errno) {
        try syscall("mtu") { asterism_interface_set_mtu(name, Int32(mtu)) }
        try TunDevice.set(queue: queue, of: name)
        // Older kernels and containers refuse it; then some trains are cut in two.
        _ = asterism_interface_set_gso_max(name, UInt32(gsoMax))
        try syscall("up") { asterism_interface_set_up(name) }
    }

    /// How many packets may wait in each queue. The kernel stops the interface for an instant. From any thread: it may wait
    /// for the kernel's lock on all interfaces.
    package static func set(queue: Int, of name: String) throws(Errno) {
        try syscall("txqueuelen") { asterism_interface_set_queue(name, Int32(queue)) }
    }

    /// The interface's address, with the prefix whose addresses are reached through it.
    package func add(_ address: IPAddress, prefix: Int) throws(Errno) {
        let bytes = address.bytes
        if address.isIPv4 {
            try syscall("address") { asterism_interface_add_ipv4(name, bytes, Int32(prefix)) }
        } else {
            try syscall("address") { asterism_interface_add_ipv6(name, bytes, Int32(prefix)) }
        }
    }
}

/// What the kernel believes of the path to an address: the largest IP packet; nil where there is no route.
package func pathMTU(to remote: SocketAddress) -> Int? {
    let (storage, count) = remote.storage
    let mtu = withUnsafeBytes(of: storage) { asterism_path_mtu($0.baseAddress, count) }
    return mtu > 0 ? Int(mtu) : nil
}
