import Base
import Testing

@testable import Mesh

/// A gateway may be broken or hostile: whatever it sends, nothing traps, spins or grows.
@Suite struct HostileGatewayTests {
    /// Changes some bytes, cuts, repeats or replaces what is between two of them.
    private static func mutated(_ bytes: [UInt8], _ random: inout Random) -> [UInt8]? {
        var bytes = bytes
        for _ in 0...random.index(below: 4) {
            guard !bytes.isEmpty else { return bytes }
            let at = random.index(below: bytes.count), end = at + random.index(below: bytes.count - at)
            switch random.index(below: 8) {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[at] ^= UInt8(1 << random.index(below: 8))
            case 2: bytes.removeSubrange(at...)
            case 3: bytes.removeSubrange(at..<end)
            case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 5: bytes.replaceSubrange(at..<end, with: [UInt8](repeating: 255, count: min(end - at, 8)))
            case 6: bytes.insert(contentsOf: Array("<![CDATA[&#x;</".utf8), at: at)
            default: if random.chance(1, in: 4) { return nil }
            }
        }
        return bytes
    }

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP, .upnp])
    func `mutated answers trap nothing, and the mapper does not spin`(kind: PortMappingProtocol) {
        var grants = 0
        for seed in 0..<400 as Range<UInt64> {
            var random = Random(Seed(seed))
            let world = MapperWorld(ModelGateway(kind), seed: seed)
            world.onAnswer = { random.chance(1, in: 3) ? $0 : Self.mutated($0, &random) }
            world.begin()
            world.run(.seconds(6 * 3600))
            if world.mapper.external != nil { grants += 1 }
            // A hostile gateway may have us ask often, but not more often than that.
            #expect(world.sent.count < 6 * 3600 && world.requested.count < 6 * 3600, "seed \(seed)")
            world.stop()
            world.run(.seconds(60))
            #expect(world.mapper.isEnded, "seed \(seed)")
        }
        // They were not all garbage.
        #expect(grants > 20)
    }

    @Test func `mappings of a second, and counts that jump, are not asked for without a pause`() {
        for lease in [1, 2, 5] as [UInt32] {
            let world = MapperWorld(ModelGateway(.pcp))
            world.gateway.longestLease = lease
            world.begin()
            for _ in 0..<600 {
                world.run(.seconds(1))
                world.gateway.startedAt = world.now
            }
            #expect(world.sent.count < 600, "\(lease)")
        }
        let world = MapperWorld(ModelGateway(.pcp))
        world.begin()
        for _ in 0..<6000 {
            world.run(.milliseconds(100))
            world.deliver([2, 0x80] + [UInt8](repeating: 0, count: 22), from: SocketAddress(ModelGateway.inside, 5351))
        }
        #expect(world.sent.count < 600)
        #expect(world.mapper.external != nil)
    }

    @Test func `garbage of any length from the gateway's ports is ignored`() {
        var random = Random(Seed(7))
        let world = MapperWorld(ModelGateway(.pcp))
        world.begin()
        world.run(.seconds(1))
        for _ in 0..<20_000 {
            var bytes = (0..<random.index(below: 80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if random.chance(1, in: 2), bytes.count > 2 {
                (bytes[0], bytes[1]) = (random.chance(1, in: 2) ? 2 : 0, 0x81)
            }
            world.deliver(bytes, from: SocketAddress(ModelGateway.inside, random.chance(1, in: 2) ? 5351 : 1900))
        }
        world.run(.seconds(60))
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7950"))
    }

    @Test func `a megabyte of markup costs no more than its limit`() {
        let world = MapperWorld(ModelGateway(.upnp))
        world.onAnswer = {
            $0.starts(with: Array("HTTP/1.1 200 X".utf8)) ? $0 + [UInt8](repeating: 60, count: 1 << 20) : $0
        }
        world.begin()
        world.run(.seconds(60))
        #expect(world.mapper.external == nil)
        #expect(world.status.problem?.contains("the gateway's description cannot be had") == true)
    }
}
