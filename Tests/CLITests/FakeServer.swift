import Base
import Control
import Foundation
import Synchronization
import Testing

/// A program at the other end of a real unix socket, with answers by script. It reads requests by the same types as the
/// daemons, so that a request which they could not read fails here too.
final class FakeServer: Sendable {
    enum Question: Sendable {
        case controller(ControllerRequest)
        case agent(AgentRequest)
    }
    enum Reply: Sendable {
        case view(any Encodable & Sendable)
        case error(APIError)
        /// Hangs up instead.
        case hangUp
        /// Sends this in place of JSON-RPC.
        case raw(String)
        /// Never answers.
        case silence
    }

    let path: String
    private let folder: TemporaryFolder
    private let listener: Int32
    private let answer: @Sendable (Question, Int) -> Reply
    private let asked = Mutex<[Question]>([])

    /// `answer` gets each question and its number, from 0, over all connections.
    init(_ answer: @escaping @Sendable (Question, Int) -> Reply) throws {
        folder = try TemporaryFolder()
        path = folder.path("s")
        self.answer = answer
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let listener = listener
        let isListening = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(listener, 16) == 0
            }
        }
        try #require(isListening)
        Thread.detachNewThread { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0, let self else { break }
                Thread.detachNewThread { self.serve(connection) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    var questions: [Question] { asked.withLock { $0 } }
    var controllerRequests: [ControllerRequest] {
        questions.compactMap { if case .controller(let request) = $0 { request } else { nil } }
    }

    /// Answers one connection until it ends.
    private func serve(_ connection: Int32) {
        defer { close(connection) }
        var buffer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            while let place = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Data(buffer[..<place])
                buffer.removeSubrange(...place)
                guard let reply = reply(to: line) else { return }
                if reply.isEmpty { continue }
                var rest = (reply + Data("\n".utf8))[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    guard count > 0 else { return }
                    rest = rest.dropFirst(count)
                }
            }
            let count = recv(connection, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            buffer += chunk[..<count]
        }
    }

    /// `nil` hangs up; an empty array sends nothing.
    private func reply(to line: Data) -> Data? {
        let id: JSONRPCID?
        let question: Question
        do {
            let call = try JSONDecoder().decode(JSONRPCCall<ControllerRequest>.self, from: line)
            id = call.id
            if case .success(let request) = call.request {
                question = .controller(request)
            } else {
                question = .agent(try JSONDecoder().decode(JSONRPCCall<AgentRequest>.self, from: line).request.get())
            }
        } catch {
            Issue.record("the request cannot be read: \(String(decoding: line, as: UTF8.self)): \(error)")
            return nil
        }
        let number = asked.withLock { list in
            list.append(question)
            return list.count - 1
        }
        switch answer(question, number) {
        case .hangUp: return nil
        case .silence: return Data()
        case .raw(let text): return Data(text.utf8)
        case .error(let error): return encode(id, Result<Nothing, JSONRPCError>.failure(JSONRPCError(error)))
        case .view(let view): return encode(id, view)
        }
    }

    private struct Nothing: Encodable {}

    private func encode(_ id: JSONRPCID?, _ view: some Encodable) -> Data? {
        encode(id, Result<_, JSONRPCError>.success(view))
    }
    private func encode<Value: Encodable>(_ id: JSONRPCID?, _ result: Result<Value, JSONRPCError>) -> Data? {
        try? JSONEncoder().encode(JSONRPCReply(id: id ?? .null, result))
    }
}
