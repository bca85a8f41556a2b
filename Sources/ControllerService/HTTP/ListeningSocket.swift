import Base
import EventLoop
import Glibc

/// A socket that listens. It is made here and not by libmicrohttpd, so that the reason of a failure is known.
enum ListeningSocket {
    /// Owner and group may connect.
    private static let unixMode: mode_t = 0o660

    /// A socket at a path, and its file.
    static func open(unix path: String) throws(Errno) -> (socket: Int32, file: SocketFile) {
        let socket = try SocketFile.bind(path, unixMode)
        let file = try SocketFile(path)
        // The umask has reduced the mode of the file.
        try call(fchmodat(AT_FDCWD, path, unixMode, AT_SYMLINK_NOFOLLOW))
        let flags = fcntl(socket.raw, F_GETFL)
        try call(fcntl(socket.raw, F_SETFL, flags | O_NONBLOCK))
        try call(listen(socket.raw, backlog))
        return (socket.release(), file)
    }

    private static let backlog: Int32 = 256

    private static func call(_ result: Int32) throws(Errno) {
        if result < 0 { throw Errno(errno) }
    }

    static func open(_ address: SocketAddress) throws(Errno) -> FileDescriptor {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let number = socket(address.family, Int32(type), 0)
        guard number >= 0 else { throw Errno(errno) }
        let socket = FileDescriptor(owning: number)
        var (storage, count) = address.storage
        // A restarted controller takes its port back from connections that are still closing.
        try set(number, Int32(SOL_SOCKET), SO_REUSEADDR)
        if !address.ip.isIPv4 { try set(number, Int32(IPPROTO_IPV6), IPV6_V6ONLY) }
        let status = withUnsafeBytes(of: &storage) {
            bind(number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), count)
        }
        guard status == 0 else { throw Errno(errno) }
        try call(listen(number, backlog))
        return socket
    }

    static func address(of socket: Int32) throws(Errno) -> SocketAddress {
        var storage = sockaddr_storage(), count = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutableBytes(of: &storage) {
            getsockname(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &count)
        }
        guard status == 0, let address = SocketAddress(storage) else { throw Errno(errno) }
        return address
    }

    private static func set(_ socket: Int32, _ level: Int32, _ option: Int32) throws(Errno) {
        var one: Int32 = 1
        guard setsockopt(socket, level, option, &one, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw Errno(errno)
        }
    }
}
