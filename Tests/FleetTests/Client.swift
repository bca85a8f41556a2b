import Base
import Control
import Foundation
import Testing

/// A blocking stream socket with time limits, to a unix path or a port of 127.0.0.1.
struct LineSocket: ~Copyable {
    private let descriptor: Int32

    init(unix path: String) throws {
        var address = sockaddr_un()
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Fault("\(path) is too long for a socket")
        }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        descriptor = try LineSocket.connect(AF_UNIX, address, path)
    }

    init(port: UInt16) throws {
        descriptor = try LineSocket.connect(AF_INET, sockaddr_in.loopback(port), "port \(port)")
    }

    deinit { close(descriptor) }

    private static func connect<Address>(_ family: Int32, _ address: Address, _ name: String) throws -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Fault("no socket: \(errno)") }
        let result = withUnsafeBytes(of: address) {
            Glibc.connect(
                descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Fault("\(name): \(String(cString: strerror(code)))")
        }
        return descriptor
    }

    /// False where the other end has closed.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Reads until `isWhole`, or the other end closes.
    func receive(within seconds: Double, until isWhole: ([UInt8]) -> Bool) throws -> [UInt8] {
        let end = monotonicSeconds() + seconds
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while !isWhole(bytes) {
            let left = end - monotonicSeconds()
            guard left > 0 else { throw Fault("no answer in time") }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, Int32(left * 1000 + 1)) > 0 else { continue }
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return bytes
    }
}

extension sockaddr_in {
    static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}

/// Asks a program on its local socket.
func ask<Request: JSONRPCRequest, View: Decodable>(
    _ path: String, _ request: Request, as type: View.Type = View.self, within seconds: Double = 20
) throws -> View {
    let wire = try LineSocket(unix: path)
    var line = Array(try JSONEncoder().encode(JSONRPCCall(id: .number(1), request)))
    line.append(UInt8(ascii: "\n"))
    wire.send(line)
    let answer = try wire.receive(within: seconds) { $0.last == UInt8(ascii: "\n") }
    guard !answer.isEmpty else { throw Fault("\(path): closed without an answer") }
    let reply = try JSONDecoder().decode(JSONRPCReply<View>.self, from: Data(answer))
    switch reply.result {
    case .success(let view): return view
    case .failure(let error): throw error.apiError
    }
}

/// One HTTP request to a port of this machine, and its answer.
struct HTTPAnswer {
    var status: Int
    var body: String

    init(_ method: String, _ target: String, _ body: String?, port: UInt16) throws {
        let wire = try LineSocket(port: port)
        var text = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        if let body { text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        wire.send(Array((text + "\r\n" + (body ?? "")).utf8))
        let answer = String(decoding: try wire.receive(within: 20) { _ in false }, as: UTF8.self)
        let parts = answer.components(separatedBy: "\r\n\r\n")
        status = try #require(Int(answer.split(separator: " ").dropFirst().first ?? ""), "\(answer)")
        self.body = parts.dropFirst().joined(separator: "\r\n\r\n")
    }

    var error: APIError {
        get throws { try #require(try JSONDecoder().decode([String: APIError].self, from: Data(body.utf8))["error"]) }
    }
}
