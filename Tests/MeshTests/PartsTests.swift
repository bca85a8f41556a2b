import Base
import Mesh
import Testing
import Wire

@Suite struct SessionIndexTests {
    @Test func `an index finds its peer until it is released, and not after its slot is used again`() throws {
        var index = SessionIndex()
        let allocated = index.allocate(for: 7, random: 0xffff_ffff)
        let first = try #require(allocated)
        #expect(index.peer(of: first) == 7)
        index.release(first)
        #expect(index.peer(of: first) == nil)
        let again = index.allocate(for: 8, random: 0x1234_5678)
        let second = try #require(again)
        #expect(second != first && index.peer(of: second) == 8 && index.peer(of: first) == nil)
        index.release(first)
        #expect(index.peer(of: second) == 8 && index.count == 1)
    }

    @Test func `indices run out instead of being given twice`() {
        var index = SessionIndex()
        for peer in 0..<(1 << 18) where index.allocate(for: peer, random: 0) == nil { Issue.record("ran out early") }
        #expect(index.allocate(for: 0, random: 0) == nil)
    }
}

@Suite struct HandshakeGateTests {
    let source = IPAddress("192.0.2.1")!

    @Test func `while few arrive all are admitted`() {
        var gate = HandshakeGate()
        for step in 0..<1000 {
            let now = Instant(nanoseconds: UInt64(step) * 10_000_000)
            #expect(gate.admit(from: source, hasCookie: false, now: now) == .admit)
        }
    }

    @Test func `under load a source without a cookie is asked for one, and one with it has twenty a second`() {
        var gate = HandshakeGate()
        var now = Instant(nanoseconds: 1_000_000_000)
        for _ in 0...Limits.handshakesUnloaded { _ = gate.admit(from: source, hasCookie: false, now: now) }
        #expect(gate.admit(from: source, hasCookie: false, now: now) == .demandCookie)
        var admitted = 0
        for _ in 0..<1000 {
            now = now + .milliseconds(1)
            if gate.admit(from: source, hasCookie: true, now: now) == .admit { admitted += 1 }
        }
        #expect((23...26).contains(admitted))
    }

    @Test func `the load passes`() {
        var gate = HandshakeGate()
        let now = Instant(nanoseconds: 1_000_000_000)
        for _ in 0...Limits.handshakesUnloaded { _ = gate.admit(from: source, hasCookie: false, now: now) }
        #expect(gate.admit(from: source, hasCookie: false, now: now + .seconds(3)) == .admit)
    }

    @Test func `as many ephemerals are remembered as there is room for`() {
        var gate = HandshakeGate(memory: 4)
        func key(_ number: UInt8) -> NodeID { NodeID([number] + [UInt8](repeating: 0, count: 31))! }
        for number in 0..<6 { gate.remember(key(UInt8(number))) }
        #expect((0..<6).map { gate.hasSeen(key(UInt8($0))) } == [false, false, true, true, true, true])
    }
}

@Suite struct DirectoryTests {
    let node = NodeID([UInt8](repeating: 1, count: 32))!
    let here = SocketAddress("10.0.0.1:1")!, there = SocketAddress("10.0.0.2:2")!

    @Test func `what is registered is found until it expires`() {
        var directory = Directory()
        let isTaken = directory.register(node, addresses: [there], through: [], observed: here, now: .origin)
        #expect(isTaken)
        #expect(directory.lookUp(node, now: .origin)?.addresses == [here, there])
        #expect(directory.lookUp(node, now: .origin + Directory.lifetime) == nil)
    }

    @Test func `the last registration counts, and the last observed address comes first`() {
        var directory = Directory()
        directory.register(node, addresses: [there], through: [], observed: here, now: .origin)
        directory.register(node, addresses: [], through: [], observed: here, now: .origin)
        #expect(directory.lookUp(node, now: .origin)?.addresses == [here])
        directory.observe(node, at: there, now: .origin)
        #expect(directory.lookUp(node, now: .origin)?.addresses == [there])
        // An observed address alone does not register a node.
        directory.observe(node, at: here, now: .origin + Directory.lifetime)
        #expect(directory.lookUp(node, now: .origin + Directory.lifetime) == nil)
    }

    @Test func `a full directory refuses unauthenticated peers until an entry runs out`() {
        var directory = Directory(limit: 2)
        func id(_ number: UInt8) -> NodeID { NodeID([UInt8](repeating: number, count: 32))! }
        for number in 1...2 {
            directory.register(id(UInt8(number)), addresses: [], through: [], observed: here, now: .origin)
        }
        let isAdmitted = directory.register(id(3), addresses: [], through: [], observed: here, now: .origin)
        #expect(!isAdmitted)
        let later = Instant.origin + Directory.lifetime
        let isTakenLater = directory.register(id(3), addresses: [], through: [], observed: here, now: later)
        #expect(isTakenLater)
    }
}
