import Glibc

/// A sockaddr_un: a path in the file system or, beginning with `@`, a name in the abstract namespace (unix(7)).
struct UnixAddress {
    /// sun_path's size. A path needs a zero byte at its end.
    static let pathLimit = 108

    private var raw = sockaddr_un()
    private let count: socklen_t

    init(_ name: String) throws(Errno) {
        var bytes = Array(name.utf8)
        let isAbstract = bytes.first == UInt8(ascii: "@")
        guard !bytes.isEmpty, !bytes.contains(0) else { throw Errno(EINVAL) }
        guard bytes.count < UnixAddress.pathLimit else { throw Errno(ENAMETOOLONG) }
        // An abstract name has the length that the address states; a path ends at its zero byte.
        if isAbstract { bytes[0] = 0 } else { bytes.append(0) }
        raw.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &raw.sun_path) { $0.copyBytes(from: bytes) }
        count = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + bytes.count)
    }

    func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafeBytes(of: raw) { body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), count) }
    }
}
