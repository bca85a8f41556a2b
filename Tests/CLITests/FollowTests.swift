import Base
import Control
import Foundation
import Testing
import Wire

@testable import asterism

@Suite struct FollowTests {
    /// A program with a log of these bytes, whose first part is rotated away, in pieces of at most so many bytes.
    private static func log(_ text: String, from begin: Int = 0, piece: Int = 1000, isFinal: Bool = true) throws
        -> FakeServer
    {
        let bytes = Array(text.utf8)
        return try FakeServer { question, _ in
            guard case .controller(.workersLogs(let request)) = question else { return .hangUp }
            let offset = request.offset ?? 0
            let start = min(bytes.count, max(begin, offset < 0 ? bytes.count + Int(offset) : Int(offset)))
            let end = min(bytes.count, start + min(piece, Int(request.limit ?? 65_536)))
            let part = String(decoding: bytes[start..<end], as: UTF8.self)
            return .view(Sample.log(part, from: Int64(start), isFinal: isFinal && end == bytes.count))
        }
    }

    private static let text = (1...40).map { "line \($0)\n" }.joined()

    @Test(arguments: [1000, 7, 64])
    func `a log comes whole, in whatever pieces`(_ piece: Int) throws {
        for isFinal in [true, false] {
            let server = try Self.log(Self.text, piece: piece, isFinal: isFinal)
            let run = try CommandRun.run(["worker", "logs", "w", "--socket", server.path])
            #expect(run.status == 0 && run.output == Self.text)
        }
    }

    @Test(arguments: [(0, ""), (1, "line 40\n"), (3, "line 38\nline 39\nline 40\n"), (1000, text)])
    func `the tail is the last lines`(_ lines: Int, _ expected: String) throws {
        for piece in [1000, 9] {
            let server = try Self.log(Self.text, piece: piece)
            let run = try CommandRun.run(["worker", "logs", "w", "-n", "\(lines)", "--socket", server.path])
            #expect(run.output == expected)
        }
    }

    @Test func `a last line without a break counts as a line`() throws {
        let server = try Self.log("a\nb\nc")
        #expect(try CommandRun.run(["worker", "logs", "w", "-n", "2", "--socket", server.path]).output == "b\nc")
    }

    @Test func `what was rotated away is where the tail ends`() throws {
        let server = try Self.log("a\nb\nc\nd\n", from: 4)
        #expect(try CommandRun.run(["worker", "logs", "w", "-n", "9", "--socket", server.path]).output == "c\nd\n")
    }

    @Test func `the last bytes can be had`() throws {
        let server = try Self.log("0123456789")
        #expect(try CommandRun.run(["worker", "logs", "w", "--bytes", "3", "--socket", server.path]).output == "789")
    }

    @Test func `bytes that are no text come as they are`() throws {
        let server = try FakeServer { _, _ in
            let view = #"{"worker":"w","offset":0,"nextOffset":3,"isFinal":true,"data":"/wAK"}"#
            return .raw(#"{"jsonrpc":"2.0","id":1,"result":\#(view)}"#)
        }
        #expect(try CommandRun.run(["worker", "logs", "w", "--socket", server.path]).outputBytes == [0xff, 0, 0x0a])
    }

    @Test func `a log as JSON is one document of all pieces`() throws {
        let server = try Self.log(Self.text, piece: 10)
        let run = try CommandRun.run(["worker", "logs", "w", "--json", "--socket", server.path])
        let object = try #require(try run.json() as? [String: Any])
        #expect(Base64.decode(object["data"] as? String ?? "") == Array(Self.text.utf8))
        #expect(object["nextOffset"] as? Int == Self.text.utf8.count && object["offset"] as? Int == 0)
        #expect(object["isFinal"] as? Bool == true && object["worker"] as? String == "w")
    }

    @Test func `following goes on over a lost connection and ends with the worker`() throws {
        let server = try FakeServer { question, number in
            guard case .controller(.workersLogs(let request)) = question else { return .hangUp }
            return switch number {
            case 0: .view(Sample.log("one\n", from: 0, isFinal: false))
            case 1: .hangUp
            case 2: .view(Sample.log("", from: request.offset ?? -1, isFinal: false))
            default: .view(Sample.log("two\n", from: request.offset ?? -1, isFinal: true))
            }
        }
        let run = try CommandRun.run(["worker", "logs", "-f", "w", "--socket", server.path])
        #expect(run.status == 0 && run.output == "one\ntwo\n")
        let offsets = server.controllerRequests.compactMap {
            if case .workersLogs(let request) = $0 { request.offset ?? 0 } else { nil }
        }
        #expect(offsets == [0, 4, 4, 4])
    }

    @Test func `following as JSON is a line for each piece`() throws {
        let server = try FakeServer { _, number in
            .view(Sample.log(number == 0 ? "a" : "b", from: Int64(number), isFinal: number == 1))
        }
        let run = try CommandRun.run(["worker", "logs", "-f", "--json", "w", "--socket", server.path])
        #expect(run.lines.count == 2)
        for line in run.lines {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["offset"] != nil && object?["data"] != nil)
        }
    }

    @Test func `followed events come once each, until the program is gone for good`() throws {
        let server = try FakeServer { question, number in
            guard case .controller(.eventsList(let request)) = question else { return .hangUp }
            return switch number {
            case 0: .view([Sample.event(7, .nodeOnline, "a"), Sample.event(8, .nodeOffline, "b")])
            case 1: .view(request.after == 8 ? [Sample.event(9, .nodeLeft, "c")] : [])
            default: .error(APIError(.unavailable, "going away"))
            }
        }
        let run = try CommandRun.run(["events", "-f", "--json", "--socket", server.path])
        #expect(run.status == 5)
        let ids = try run.lines.map { line in
            (try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])?["id"] as? Int
        }
        #expect(ids == [7, 8, 9])
    }
}
