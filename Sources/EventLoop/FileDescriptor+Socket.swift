import Base
import Glibc

/// What getsockname(2) or a similar call fills in.
func address(
    _ name: StaticString, _ ask: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
) throws(Errno) -> SocketAddress? {
    var storage = sockaddr_storage(), count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    try syscall(name) {
        withUnsafeMutableBytes(of: &storage) { ask($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &count) }
    }
    return SocketAddress(storage)
}

extension FileDescriptor {
    enum SocketKind {
        case stream
        case datagram
    }

    /// socket(2), close-on-exec and non-blocking.
    static func socket(_ family: Int32, _ kind: SocketKind) throws(Errno) -> FileDescriptor {
        let type = kind == .stream ? SOCK_STREAM : SOCK_DGRAM
        let flags = type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        return FileDescriptor(owning: try syscall("socket") { Glibc.socket(family, Int32(flags), 0) })
    }

    func bind(_ address: SocketAddress) throws(Errno) {
        var (storage, count) = address.storage
        let raw = self.raw
        try syscall("bind") {
            withUnsafeBytes(of: &storage) {
                Glibc.bind(raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), count)
            }
        }
    }

    /// setsockopt(2) with an int.
    func set(_ level: Int, _ option: Int32, to value: Int32) throws(Errno) {
        let raw = self.raw
        try syscall("setsockopt") {
            withUnsafePointer(to: value) {
                setsockopt(raw, Int32(level), option, $0, socklen_t(MemoryLayout<Int32>.size))
            }
        }
    }

    /// getsockopt(2) of an int.
    func get(_ level: Int, _ option: Int32) throws(Errno) -> Int32 {
        let raw = self.raw
        var value: Int32 = 0, count = socklen_t(MemoryLayout<Int32>.size)
        try syscall("getsockopt") { getsockopt(raw, Int32(level), option, &value, &count) }
        return value
    }
}
