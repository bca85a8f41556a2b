package import Base
import EventLoop
import Glibc

/// # Which process holds a port
///
/// An error about a port in use helps only if it names the holder. The kernel lists sockets in /proc/net with their
/// inode and their user (proc_net(5)), and /proc/PID/fd names the inodes of each process's sockets. Descriptors of other
/// users' processes are hidden from a program without privileges; even then the user is known.
package enum PortHolder {
    package enum Transport: Hashable, Sendable {
        case udp, tcp
    }

    /// One line of /proc/net/udp, udp6, tcp or tcp6.
    package struct Row: Hashable, Sendable {
        package private(set) var local: SocketAddress
        /// TCP_LISTEN is 10 (include/net/tcp_states.h).
        package private(set) var state: UInt8
        package private(set) var user: UInt32
        package private(set) var inode: UInt64
    }

    /// `asterism-controller (pid 812)`, or `a process of uid 33`; `nil` where nothing is known.
    package static func find(_ transport: Transport, _ address: SocketAddress) -> String? {
        let files = transport == .udp ? ["udp", "udp6"] : ["tcp", "tcp6"]
        let all = files.flatMap { name in
            // Of this process: /proc/net may be hidden by the unit's ProcSubset=.
            let bytes = (try? Files.read("/proc/self/net/\(name)")) ?? nil
            return rows(String(decoding: bytes ?? [], as: UTF8.self))
        }
        guard let row = holder(of: address, transport, in: all) else { return nil }
        return process(with: row.inode) ?? "a process of uid \(row.user)"
    }

    /// `0.0.0.0:7950 is in use by asterism-controller (pid 812)`.
    package static func message(_ transport: Transport, _ address: SocketAddress) -> String {
        "\(address) is in use" + (find(transport, address).map { " by \($0)" } ?? "")
    }

    /// Lines that describe no socket, such as the header, are left out.
    package static func rows(_ text: String) -> [Row] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 10, let local = address(fields[1]), let state = UInt8(fields[3], radix: 16),
                let user = UInt32(fields[7]), let inode = UInt64(fields[9])
            else { return nil }
            return Row(local: local, state: state, user: user, inode: inode)
        }
    }

    /// The socket that prevents binding `address`.
    package static func holder(of address: SocketAddress, _ transport: Transport, in rows: [Row]) -> Row? {
        let able = rows.filter { row in
            guard row.local.port == address.port, transport == .udp || row.state == 10 else { return false }
            return row.local.ip == address.ip || row.local.ip.isUnspecified || address.ip.isUnspecified
        }
        return able.first { $0.local == address } ?? able.first { $0.local.ip.isIPv4 == address.ip.isIPv4 }
            ?? able.first
    }

    /// The inode in what /proc/PID/fd/N points to: `socket:[1234]`.
    package static func inode(ofLink text: some StringProtocol) -> UInt64? {
        guard text.hasPrefix("socket:["), text.hasSuffix("]") else { return nil }
        return UInt64(text.dropFirst(8).dropLast())
    }

    /// `0100007F:1F0E`: each word of the address is in the machine's own byte order, the port is a number.
    private static func address(_ text: Substring) -> SocketAddress? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, parts[0].utf8.count == 8 || parts[0].utf8.count == 32,
            let port = UInt16(parts[1], radix: 16)
        else { return nil }
        let digits = Array(parts[0].utf8)
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: digits.count, by: 8) {
            guard let word = UInt32(String(decoding: digits[start..<start + 8], as: UTF8.self), radix: 16) else {
                return nil
            }
            withUnsafeBytes(of: word) { bytes += $0 }
        }
        return IPAddress(bytes: bytes[...]).map { SocketAddress($0, port) }
    }

    // MARK: - Processes

    private static func process(with inode: UInt64) -> String? {
        let numbers = names(in: "/proc").compactMap { Int32($0) }.sorted()
        for pid in numbers {
            let folder = "/proc/\(pid)/fd"
            for name in names(in: folder) where self.inode(ofLink: link("\(folder)/\(name)")) == inode {
                return "\(program(pid)) (pid \(pid))"
            }
        }
        return nil
    }

    /// The program's name as it was started; the kernel's own, which is cut to 15 bytes, where that is empty.
    private static func program(_ pid: Int32) -> String {
        func text(_ name: String) -> String {
            let bytes = ((try? Files.read("/proc/\(pid)/\(name)")) ?? nil) ?? []
            return String(decoding: bytes.prefix { $0 != 0 && $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
        let first = text("cmdline").split(separator: "/").last.map(String.init) ?? ""
        return first.isEmpty ? text("comm") : first
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var all: [String] = []
        while let entry = readdir(directory) {
            withUnsafeBytes(of: &entry.pointee.d_name) {
                all.append(String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self))
            }
        }
        return all
    }

    private static func link(_ path: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = buffer.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}
