import Base
import Control
import Foundation
import Platform

/// The monotonic clock, in seconds.
func monotonicSeconds() -> Double {
    Double(Clock.monotonic().nanoseconds) / 1e9
}

/// A stream socket to a program on this machine, one line each way at a time; blocking, with a time limit on everything.
final class Connection {
    enum Fault: Error, Equatable {
        /// It cannot be reached: errno(3) of socket or connect.
        case unreachable(Int32)
        /// The connection was lost before the answer was complete.
        case lost
        case timeout
        /// The answer is longer than the limit.
        case tooLong
    }

    /// A list of every node of a very large fleet is tens of megabytes.
    private static let maxAnswerBytes = 256 << 20
    private let descriptor: Int32
    private var buffer: [UInt8] = []

    init(to path: String) throws(Fault) {
        var address = sockaddr_un()
        let room = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard path.utf8.count <= room else { throw .unreachable(ENAMETOOLONG) }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .unreachable(errno) }
        // A full queue of connections makes connect(2) wait, for as long as sending may.
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw .unreachable(code)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Sends one line and waits for one, for so many seconds.
    func exchange(_ line: [UInt8], within seconds: Double) throws(Fault) -> [UInt8] {
        let end = monotonicSeconds() + seconds
        var rest = (line + [UInt8(ascii: "\n")])[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0 {
                if errno == EINTR { continue }
                throw errno == EAGAIN ? .timeout : .lost
            }
            rest = rest.dropFirst(count)
        }
        return try receiveLine(until: end)
    }

    private func receiveLine(until end: Double) throws(Fault) -> [UInt8] {
        var searched = 0
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if let place = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[..<place])
                buffer.removeSubrange(...place)
                return line
            }
            searched = buffer.count
            guard buffer.count <= Connection.maxAnswerBytes else { throw .tooLong }
            let left = end - monotonicSeconds()
            guard left > 0 else { throw .timeout }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            // Rounded up, or the last millisecond would spin.
            let ready = poll(&wait, 1, Int32(min(left * 1000 + 1, 1e9)))
            if ready < 0, errno != EINTR { throw .lost }
            guard ready > 0 else { continue }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            if count > 0 {
                buffer.append(contentsOf: chunk[..<count])
            } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                throw .lost
            }
        }
    }
}
