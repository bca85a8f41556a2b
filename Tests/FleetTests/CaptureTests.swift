import Base
import Control
import Foundation
import Testing
import Wire

/// Captures at an agent without an overlay: what its sockets exchange with the controller.
@Suite struct CaptureTests {
    /// The comments of all packets, by interface, and the types of all blocks.
    private static func parse(_ bytes: [UInt8]) throws -> (types: [Int], comments: [[String]]) {
        func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
        var offset = 0, types: [Int] = [], comments: [[String]] = [[], []]
        while offset < bytes.count {
            let type = word(offset), length = word(offset + 4)
            guard length >= 12, offset + length <= bytes.count else { throw Fault("a block of \(length) bytes") }
            types.append(type)
            if type == 6 {
                // Options follow the padded packet; the first is the comment.
                let place = offset + 28 + (word(offset + 20) + 3) / 4 * 4
                let count = word(place) >> 16
                comments[word(offset + 8)].append(String(decoding: bytes[place + 4..<place + 4 + count], as: UTF8.self))
            }
            offset += length
        }
        return (types, comments)
    }

    private static func read(_ fleet: Fleet, _ order: CaptureStart) throws -> (view: CaptureView, file: [UInt8]) {
        var view: CaptureView = try fleet.ask("agent-1", .captureStart(order))
        var file = try #require(view.bytes)
        for _ in 0..<200 where !view.isFinal {
            view = try fleet.ask("agent-1", .captureRead(.init(capture: view.capture)))
            file += try #require(view.bytes)
        }
        return (view, file)
    }

    @Test func `the sockets' traffic is captured, both ways, until the time is over or there are enough`() throws {
        try Fleet.with(agents: 1) { fleet in
            let timed = try Self.read(fleet, .init(seconds: 3))
            let all = try Self.parse(timed.file)
            #expect(all.types.prefix(3) == [0x0a0d_0d0a, 1, 1] && all.types.suffix(2) == [5, 5])
            #expect(all.comments[0].isEmpty && all.comments[1].count == timed.view.packets)
            let far = "controller, direct 127.0.0.1:\(fleet.port), frames"
            #expect(all.comments[1].contains("out to \(far)") && all.comments[1].contains("in from \(far)"))
            let few = try Self.read(fleet, .init(peer: "controller", layer: .outer, count: 2))
            #expect(few.view.packets == 2 && few.view.isFinal && few.view.dropped == 0)
            // There are no packets of the overlay.
            let inner = try Self.read(fleet, .init(layer: .inner, seconds: 1))
            #expect(inner.view.packets == 0)
        }
    }

    @Test func `invalid orders are refused with their field`() throws {
        try Fleet.with(agents: 1) { fleet in
            func refusal(_ request: AgentRequest) -> APIError? {
                do {
                    let view: CaptureView = try fleet.ask("agent-1", request)
                    Issue.record("\(request) was done: \(view.packets)")
                    return nil
                } catch { return error as? APIError }
            }
            #expect(refusal(.captureStart(.init(count: 0)))?.field == "count")
            #expect(refusal(.captureStart(.init(seconds: 86_401)))?.field == "seconds")
            #expect(refusal(.captureStart(.init(peer: "nobody")))?.field == "peer")
            #expect(refusal(.captureRead(.init(capture: 7)))?.code == .notFound)
            #expect(refusal(.captureStop(.init(capture: 7)))?.code == .notFound)
            #expect(refusal(.debugRebind(.init(port: 70_000)))?.field == "port")
            #expect(refusal(.debugRebind(.init(port: Int64(fleet.port))))?.field == "port")
            #expect(refusal(.debugDropPath(.init(peer: "controller", path: "192.0.2.1:1")))?.field == "path")
            #expect(refusal(.debugDropPath(.init(peer: "controller", path: "direct")))?.code == .refused)
            #expect(refusal(.debugRelayOnly(.init(peer: "controller", isOn: true)))?.code == .refused)
        }
    }

    @Test func `after new sockets the agent is online as before, in the same session`() throws {
        try Fleet.with(agents: 1) { fleet in
            let before: StatusView = try fleet.ask("agent-1", .status)
            let view: RebindView = try fleet.ask("agent-1", .debugRebind(.init()))
            #expect(view.before != nil && view.address?.port != view.before?.port)
            let answered = try heartbeats(before)
            try eventually("heartbeats are answered again") {
                try heartbeats(fleet.ask("agent-1", .status)) >= answered + 3
            }
            let after: StatusView = try fleet.ask("agent-1", .status)
            #expect(try sessions(after) == sessions(before))
            #expect(try fleet.nodes().first?.state == .online)
        }
    }

    private func heartbeats(_ view: StatusView) throws -> Int {
        try #require(view.counters.first { $0.name == "heartbeatsAnswered" }).count
    }
    private func sessions(_ view: StatusView) throws -> Int {
        try #require(view.counters.first { $0.name == "sessionsEstablished" }).count
    }
}
