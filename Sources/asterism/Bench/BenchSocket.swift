import Base
import Foundation

/// # Sockets for measuring
///
/// Blocking kernel sockets of both transports, closed when they are freed. Each TCP connection begins with:
///
/// ```
/// token 16 | kind 1 | milliseconds 4
/// ```
final class BenchSocket: Sendable {
    enum Kind: UInt8 {
        /// Answers one byte, then for each byte the sum of retransmits of all `back` connections (8 bytes); its end
        /// ends the server.
        case control = 1
        /// The client sends, the server reads.
        case there = 2
        /// The server sends for so many milliseconds, the client reads.
        case back = 3
    }
    static let tokenCount = 16
    static let helloCount = tokenCount + 5
    static let chunk = 128 << 10

    let raw: Int32

    private init(owning raw: Int32) { self.raw = raw }

    deinit { close(raw) }

    static func hello(_ token: [UInt8], _ kind: Kind, milliseconds: Int = 0) -> [UInt8] {
        let time = UInt32(clamping: milliseconds)
        return token + [kind.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: time >> (24 - $0 * 8)) }
    }

    /// A socket of that transport and of the address's family.
    static func open(_ type: __socket_type, for address: IPAddress) throws(BenchFault) -> BenchSocket {
        let family = address.isIPv4 ? AF_INET : AF_INET6
        let raw = socket(family, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw BenchFault("socket", errno) }
        return BenchSocket(owning: raw)
    }

    func bind(to address: IPAddress) throws(BenchFault) {
        let status = BenchSocket.with(address, port: 0) { Foundation.bind(raw, $0, $1) }
        guard status == 0 else { throw BenchFault("bind to \(address)", errno) }
    }

    /// Connects within five seconds.
    func connect(to address: IPAddress, port: Int) throws(BenchFault) {
        setTimeout(seconds: 5)
        let status = BenchSocket.with(address, port: UInt16(clamping: port)) { Foundation.connect(raw, $0, $1) }
        // A time limit makes connect(2) end with EINPROGRESS.
        guard status == 0 else {
            throw BenchFault("connect to \(address) port \(port)", errno == EINPROGRESS ? ETIMEDOUT : errno)
        }
    }

    /// The port that the kernel gave.
    var port: UInt16 {
        var storage = sockaddr_storage()
        var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            // Large and aligned enough for every family.
            getsockname(raw, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), &count)
            // In both families the port follows the family.
            return UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        }
    }

    func accept() -> BenchSocket? {
        let other = Foundation.accept(raw, nil, nil)
        return other >= 0 ? BenchSocket(owning: other) : nil
    }

    /// Sets the time limit of every blocking call.
    func setTimeout(seconds: Double) {
        var limit = timeval(tv_sec: Int(seconds), tv_usec: Int((seconds - seconds.rounded(.down)) * 1e6))
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            setsockopt(raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// Discards unsent data, so that one measurement does not disturb the next.
    func abandon() {
        var how = linger(l_onoff: 1, l_linger: 0)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &how, socklen_t(MemoryLayout<linger>.size))
    }

    func sendAll(_ bytes: [UInt8]) throws(BenchFault) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw BenchFault("send", errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Exactly so many bytes; `nil` at the end, or after an error or the time limit.
    func receive(_ count: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var part = [UInt8](repeating: 0, count: count - bytes.count)
            let got = recv(raw, &part, part.count, 0)
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return nil }
            bytes += part[..<got]
        }
        return bytes
    }

    /// Sends zeros until `goesOn` returns false or the other end refuses.
    func flood(while goesOn: () -> Bool) {
        let chunk = [UInt8](repeating: 0, count: BenchSocket.chunk)
        while goesOn() {
            let count = send(raw, chunk, chunk.count, Int32(MSG_NOSIGNAL))
            if count < 0, errno != EINTR, errno != EAGAIN { return }
        }
    }

    /// Reads to the end, or until `take`, which gets each count, returns false.
    func drain(_ take: (Int) -> Bool) {
        var chunk = [UInt8](repeating: 0, count: BenchSocket.chunk)
        while true {
            let count = recv(raw, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR || errno == EAGAIN {
                if take(0) { continue }
                return
            }
            guard count > 0, take(count) else { return }
        }
    }

    /// The kernel's statistics of a connection: retransmitted segments, and bytes that the far end has acknowledged.
    var tcpInfo: (retransmits: Int, acknowledged: Int) {
        // Read at the offsets of `struct tcp_info` in Linux' <linux/tcp.h>: glibc's structure ends before the second
        // field.
        var bytes = [UInt8](repeating: 0, count: 256)
        var count = socklen_t(bytes.count)
        guard getsockopt(raw, Int32(IPPROTO_TCP), TCP_INFO, &bytes, &count) == 0, count >= 128 else { return (0, 0) }
        return bytes.withUnsafeBytes { bytes in
            (
                Int(bytes.loadUnaligned(fromByteOffset: 100, as: UInt32.self)),
                Int(bytes.loadUnaligned(fromByteOffset: 120, as: UInt64.self))
            )
        }
    }

    private static func with<Result>(
        _ address: IPAddress, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(address.isIPv4 ? AF_INET : AF_INET6)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            bytes.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
            // The address follows the port; in IPv6 four bytes of flow label do first.
            for (place, byte) in address.bytes.enumerated() { bytes[(address.isIPv4 ? 4 : 8) + place] = byte }
            let size = address.isIPv4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            return body(bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(size))
        }
    }
}

/// Which step failed, and errno(3).
struct BenchFault: Error {
    var step: String
    var code: Int32

    init(_ step: String, _ code: Int32) {
        self.step = step
        self.code = code
    }

    var text: String { "\(step): \(String(cString: strerror(code)))" }
}
