import Base
import Control
import ControllerService
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

/// A client that sends the given bytes unchanged, and keeps what comes back. Its socket never blocks, so that it can
/// share the thread with the server's loop.
final class RawClient {
    private let socket: FileDescriptor
    private var unsent: [UInt8] = []
    private(set) var received: [UInt8] = []
    /// The server has ended the connection.
    private(set) var isEnded = false
    var reads = true

    init(to address: SocketAddress) throws {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let number = Glibc.socket(address.family, Int32(type), 0)
        try #require(number >= 0)
        socket = FileDescriptor(owning: number)
        var (storage, count) = address.storage
        let status = withUnsafeBytes(of: &storage) {
            connect(number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), count)
        }
        try #require(status == 0 || errno == EINPROGRESS)
    }

    init(unix path: String) throws {
        let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
        let number = Glibc.socket(AF_UNIX, Int32(type), 0)
        try #require(number >= 0)
        socket = FileDescriptor(owning: number)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafeBytes(of: &address) {
            connect(number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        try #require(status == 0, "\(path): \(errno)")
    }

    func send(_ text: String) { send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) {
        unsent += bytes
        pump()
    }

    func pump() {
        if !unsent.isEmpty {
            let count = Glibc.send(socket.raw, unsent, unsent.count, Int32(MSG_NOSIGNAL))
            if count > 0 { unsent.removeFirst(count) }
        }
        guard reads, !isEnded else { return }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(socket.raw, &buffer, buffer.count, 0)
            if count > 0 {
                received += buffer[..<count]
            } else {
                if count == 0 || (errno != EAGAIN && errno != ENOTCONN) { isEnded = true }
                return
            }
        }
    }

    /// The whole answers that have come.
    var answers: [Answer] {
        var answers: [Answer] = [], rest = received[...]
        while let answer = Answer(&rest) { answers.append(answer) }
        return answers
    }

    struct Answer {
        var status: Int
        var headers: [String: String]
        var body: String

        /// Takes one answer off the front, if all of it is there.
        init?(_ rest: inout ArraySlice<UInt8>, isHead: Bool = false) {
            let end = Array("\r\n\r\n".utf8)
            guard let headerEnd = rest.indices.first(where: { rest[$0...].starts(with: end) }) else { return nil }
            let lines = String(decoding: rest[rest.startIndex..<headerEnd], as: UTF8.self).split(separator: "\r\n")
            guard let first = lines.first, let status = Int(first.split(separator: " ").dropFirst().first ?? "") else {
                return nil
            }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                let pair = line.split(separator: ":", maxSplits: 1)
                headers[pair[0].lowercased()] = String(pair.last ?? "").trimmingPrefix(" ").description
            }
            let length = isHead ? 0 : Int(headers["content-length"] ?? "0") ?? 0
            let bodyStart = headerEnd + 4
            guard rest.endIndex - bodyStart >= length else { return nil }
            self.status = status
            self.headers = headers
            body = String(decoding: rest[bodyStart..<bodyStart + length], as: UTF8.self)
            rest = rest[(bodyStart + length)...]
        }
    }
}

/// Runs the loop and the clients until `done` or for ten seconds; returns whether it was done.
func drive(_ loop: Loop, _ clients: [RawClient], for limit: Interval = .seconds(10), until done: () -> Bool) -> Bool {
    let end = loop.now + limit
    while !done() {
        if loop.now > end { return false }
        loop.runOnce(nonblocking: true)
        for client in clients { client.pump() }
        usleep(200)
    }
    return true
}

func testServer(
    _ loop: Loop, limits: HTTPServer.Limits = .init(),
    _ onRequest: @escaping (HTTPRequest, @escaping HTTPServer.Answer) -> Void
) throws -> HTTPServer {
    try HTTPServer(
        on: loop, at: .tcp(SocketAddress(.loopback4, 0)), limits: limits, tooLarge: HTTPAPI.tooLarge,
        unanswered: HTTPAPI.unanswered, onRequest: onRequest)
}

extension HTTPServer {
    /// The address of a server at TCP.
    var localAddress: SocketAddress {
        guard case .tcp(let address) = localEndpoint else { preconditionFailure("\(localEndpoint) is not TCP") }
        return address
    }
}

func echo(_ request: HTTPRequest, _ answer: HTTPServer.Answer) {
    answer(HTTPResponse(status: 200, body: Array("\(request.method) \(request.target) \(request.body.count)".utf8)))
}

/// How many sockets of this process have that port, at either end. Other tests run next to this one, so descriptors as
/// such cannot be counted.
func socketCount(port: UInt16) -> Int {
    names(in: "/proc/self/fd").compactMap { Int32($0) }.count { number in
        [getsockname, getpeername].contains { name in
            var storage = sockaddr_storage(), count = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let status = withUnsafeMutableBytes(of: &storage) {
                name(number, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &count)
            }
            return status == 0 && SocketAddress(storage)?.port == port
        }
    }
}

/// A new directory of the test's own, removed afterwards together with the files in it.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/asterism-test-XXXXXX".utf8CString)
    let path = String(cString: mkdtemp(&template)!)
    defer { removeDirectory(path) }
    try body(path)
}

private func removeDirectory(_ path: String) {
    for name in names(in: path) where name != "." && name != ".." {
        if unlink("\(path)/\(name)") != 0 { removeDirectory("\(path)/\(name)") }
    }
    rmdir(path)
}

func names(in directory: String) -> [String] {
    guard let folder = opendir(directory) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        names.append(
            withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            })
    }
    return names.sorted()
}

/// A mutable value that closures share.
final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}
