package import Base
import CLinux
import Glibc

/// # A network interface whose far end is this process
///
/// The process reads what the kernel routes to the interface, one packet per read(2). What the process writes, the kernel
/// receives from the interface. Each packet has a virtio header before it (IFF_VNET_HDR). With it, up to 64 KiB of one flow
/// pass as one packet, and its checksums and its segmentation are left to the program that forwards it. What the kernel may
/// do is negotiated at the start: all of this, or all without UDP on kernels before 6.2, or none.
///
/// The interface has one queue or several (IFF_MULTI_QUEUE), so that several threads may read: the kernel keeps each flow on
/// one of them, where possible on the one whose thread writes the answers. A queue is used by a `TunQueue`.
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

    /// Makes the interface; `name` may be a pattern with `%d`. Throws the kernel's error: ENOENT or ENODEV without
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
        // The setting belongs to the interface, not to the queue.
        for candidate in candidates where asterism_tun_set_offload(opened[0], candidate.rawValue) == 0 {
            granted = candidate
            break
        }
        offload = granted
    }

    deinit { close() }

    /// The interface is removed with its last descriptor.
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
        // Older kernels and containers refuse it; then some trains are split in two.
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
