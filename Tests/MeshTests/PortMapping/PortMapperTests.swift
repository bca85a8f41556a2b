import Base
import Testing

@testable import Mesh

@Suite struct PortMapperTests {
    private static let mapped = SocketAddress("203.0.113.9:7950")

    private func world(_ speaks: PortMappingProtocol..., change: (inout ModelGateway) -> Void = { _ in }) -> MapperWorld
    {
        var gateway = ModelGateway()
        gateway.speaks = speaks
        change(&gateway)
        let world = MapperWorld(gateway)
        world.begin()
        return world
    }

    // MARK: - A first answer

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP, .upnp])
    func `a gateway of one protocol gives a mapping by it`(kind: PortMappingProtocol) {
        let world = world(kind)
        world.run(.seconds(2))
        #expect(world.mapper.external == Self.mapped)
        let status = world.status
        #expect(status.protocol == kind && status.gateway == ModelGateway.inside && status.internalPort == 7950)
        #expect(status.problem == nil && (status.lifetime?.seconds ?? 0) > 7100)
        #expect(world.gateway.entries[7950]?.client == MapperWorld.own)
        #expect(world.gateway.entries.count == 1)
    }

    @Test func `a gateway that speaks all is asked by PCP alone, and in a round trip`() {
        let world = world(.pcp, .natPMP, .upnp)
        world.run(.milliseconds(5))
        #expect(world.mapper.external == Self.mapped && world.status.protocol == .pcp)
        world.run(.seconds(5))
        #expect(world.gateway.searches == 0 && world.requested.isEmpty)
        // The outer address by NAT-PMP, which changes nothing, and MAP by PCP.
        #expect(world.gateway.asked == [[2, 1], [0, 0]])
    }

    @Test func `a gateway of NAT-PMP that does not know PCP's version is asked at once by its own`() {
        let world = world(.natPMP)
        world.run(.milliseconds(20))
        #expect(world.mapper.external == Self.mapped && world.status.protocol == .natPMP)
    }

    @Test func `a gateway that ignores PCP is asked by NAT-PMP after the first wait`() {
        let world = world(.natPMP) { $0.ignoresOthers = true }
        world.run(.milliseconds(200))
        #expect(world.mapper.external == nil)
        world.run(.milliseconds(200))
        #expect(world.mapper.external == Self.mapped && world.status.protocol == .natPMP)
    }

    @Test func `UPnP is searched for half a second later`() {
        let world = world(.upnp)
        world.run(.milliseconds(499))
        #expect(world.gateway.searches == 0)
        world.run(.milliseconds(101))
        #expect(world.gateway.searches > 0 && world.status.protocol == .upnp)
    }

    @Test func `questions are repeated after a quarter of a second, then after twice as long each time`() {
        let world = world(.pcp) { $0.isMute = true }
        world.run(.seconds(20))
        let times = world.sent.filter { $0.bytes.count == 60 }.map(\.at)
        #expect(times.count == 6)
        for (index, pair) in zip(times, times.dropFirst()).enumerated() {
            let wait = Interval.milliseconds(250) * Int64(1 << index)
            #expect(pair.1 - pair.0 >= wait / 10 * 9 && pair.1 - pair.0 <= wait / 10 * 11)
        }
    }

    // MARK: - Refusals

    @Test func `what PCP refuses is asked by NAT-PMP and UPnP`() {
        let world = world(.pcp, .natPMP) { $0.pcpResult = 2 }
        world.run(.seconds(1))
        #expect(world.status.protocol == .natPMP)
        let other = self.world(.pcp, .upnp) { $0.pcpResult = 8 }
        other.run(.seconds(2))
        #expect(other.status.protocol == .upnp)
    }

    @Test func `a refusal is reported as text, with the protocol`() {
        let world = world(.pcp, .upnp) {
            $0.pcpResult = 12
            $0.errorOfAdd = 606
        }
        world.run(.seconds(10))
        let text = world.status.problem ?? ""
        #expect(text.contains("PCP: there is another NAT between this node and the gateway"))
        #expect(text.contains("UPnP: the gateway does not allow it"))
        let silent = self.world(.pcp) { $0.isMute = true }
        silent.run(.seconds(30))
        #expect(silent.status.problem?.contains("answers neither PCP nor NAT-PMP") == true)
        #expect(silent.status.problem?.contains("UPnP: the gateway does not answer") == true)
    }

    @Test func `failures are followed by pauses of a minute, two, four and so on, up to an hour`() {
        let world = world(.pcp) { $0.isMute = true }
        world.run(.seconds(9 * 3600))
        let rounds = world.sent.filter { $0.remote.port == 5351 && $0.bytes == [0, 0] }.map(\.at)
        // Six datagrams a round, the first of which begins it.
        let starts = stride(from: 0, to: rounds.count, by: 6).map { rounds[$0] }
        #expect(starts.count >= 10)
        for (index, pair) in zip(starts, starts.dropFirst()).enumerated() {
            let pause = min(Interval.minutes(1) * Int64(1 << min(index, 6)), .minutes(60))
            let gap = pair.1 - pair.0 - .milliseconds(15_750)
            #expect(gap >= pause / 10 * 9 - .seconds(2) && gap <= pause / 10 * 11 + .seconds(2), "\(index): \(gap)")
        }
    }

    @Test func `after failures a gateway that has learnt it is found, and the next failure pauses for a minute again`()
    {
        let world = world(.pcp) { $0.pcpResult = 4 }
        world.run(.minutes(10))
        #expect(world.mapper.external == nil && world.mapper.isResting)
        world.gateway.pcpResult = 0
        world.run(.minutes(10))
        #expect(world.mapper.external == Self.mapped)
        world.gateway.isMute = true
        world.run(.seconds(3 * 3600))
        #expect(world.mapper.external == nil)
    }

    // MARK: - Keeping it

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP])
    func `a mapping is renewed after half of its life and a little more`(kind: PortMappingProtocol) {
        let world = world(kind) { $0.longestLease = 1200 }
        world.run(.seconds(590))
        let before = world.gateway.asked.count
        world.run(.seconds(5))
        #expect(world.gateway.asked.count == before)
        world.run(.seconds(160))
        #expect(world.gateway.asked.count > before)
        #expect(world.gateway.entries[7950]?.expiresAt ?? .origin > world.now + .seconds(1000))
        world.run(.seconds(86_400))
        #expect(world.mapper.external == Self.mapped && world.gateway.entries.count == 1)
    }

    @Test func `UPnP's is looked after every ten minutes, and keeps its port`() {
        let world = world(.upnp)
        world.run(.seconds(3))
        let adds = world.gateway.actions.count { $0.hasPrefix("Add") }
        world.run(.minutes(61))
        #expect(world.gateway.actions.count { $0.hasPrefix("Add") } == adds + 6)
        #expect(world.mapper.external == Self.mapped && world.gateway.entries.count == 1)
    }

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP])
    func `a gateway that restarts and announces it has the mapping back within seconds`(kind: PortMappingProtocol) {
        let world = world(kind)
        world.run(.seconds(600))
        world.gateway.restart(world.now)
        // To the group of all hosts, port 5350; from the gateway's control port.
        let announcement: [UInt8] =
            kind == .pcp
            ? [2, 0x80, 0, 0] + [UInt8](repeating: 0, count: 20)
            : [0, 0x80, 0, 0, 0, 0, 0, 0] + world.gateway.external.bytes
        world.deliver(announcement, from: SocketAddress(ModelGateway.inside, 5351))
        world.run(.seconds(3))
        #expect(world.gateway.entries[7950]?.client == MapperWorld.own)
        #expect(world.mapper.external == Self.mapped)
    }

    @Test func `a restart without an announcement is detected at the next renewal`() {
        for kind in [PortMappingProtocol.pcp, .natPMP, .upnp] {
            let world = world(kind)
            world.run(.seconds(60))
            world.gateway.restart(world.now)
            world.run(.seconds(4600))
            #expect(world.gateway.entries[7950] != nil && world.mapper.external == Self.mapped, "\(kind)")
        }
    }

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP, .upnp])
    func `another external address is reported once the gateway states it`(kind: PortMappingProtocol) {
        let world = world(kind)
        world.run(.seconds(60))
        world.gateway.external = IPAddress("203.0.113.77")!
        if kind == .natPMP {
            let informed: [UInt8] = [0, 0x80, 0, 0, 0, 0, 4, 36] + world.gateway.external.bytes
            world.deliver(informed, from: SocketAddress(ModelGateway.inside, 5351))
        }
        world.run(kind == .pcp ? .seconds(4600) : .minutes(11))
        #expect(world.mapper.external == SocketAddress("203.0.113.77:7950"))
    }

    @Test func `a mapping that cannot be renewed is kept until it expires, and then asked for again`() {
        let world = world(.pcp) { $0.longestLease = 600 }
        world.run(.seconds(10))
        world.gateway.isMute = true
        world.run(.seconds(580))
        #expect(world.mapper.external == Self.mapped)
        world.run(.seconds(15))
        #expect(world.mapper.external == nil)
        world.gateway.isMute = false
        world.run(.minutes(3))
        #expect(world.mapper.external == Self.mapped)
    }

    @Test func `another address of the node's own begins again, and no gateway ends it`() {
        let world = world(.pcp)
        world.run(.seconds(10))
        world.begin(own: IPAddress("192.168.1.50")!)
        #expect(world.mapper.external == nil)
        world.run(.seconds(1))
        // The old one is another client's for the gateway, and keeps its port until it expires.
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7951"))
        world.begin(own: nil)
        #expect(world.mapper.external == nil && world.mapper.deadline == nil)
        let count = world.sent.count
        world.run(.seconds(86_400))
        #expect(world.sent.count == count)
    }

    @Test func `a port that is taken becomes another one`() {
        let world = world(.natPMP) { $0.taken = [7950, 7951] }
        world.run(.seconds(1))
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7952"))
    }

    @Test(arguments: ["10.1.2.3", "100.72.0.9", "192.168.0.7"])
    func `a private external address shows that there is a second NAT`(address: String) {
        for kind in [PortMappingProtocol.pcp, .natPMP, .upnp] {
            let world = world(kind) { $0.external = IPAddress(address)! }
            world.run(.seconds(2))
            #expect(world.mapper.external == SocketAddress(IPAddress(address)!, 7950))
            #expect(world.status.problem?.hasPrefix("behind a second NAT") == true)
        }
    }

    @Test func `a restarted node with its old nonce takes up its mapping, with another one it may not`() {
        let world = world(.pcp)
        world.run(.seconds(1))
        let again = MapperWorld(world.gateway)
        again.begin()
        again.run(.seconds(1))
        #expect(again.mapper.external == Self.mapped && again.gateway.entries.count == 1)
        var stolen = world.gateway
        stolen.entries[7950]?.nonce = [UInt8](repeating: 9, count: 12)
        let other = MapperWorld(stolen)
        other.begin()
        other.run(.seconds(30))
        #expect(other.mapper.external == nil)
    }

    // MARK: - The end

    @Test(arguments: [PortMappingProtocol.pcp, .natPMP, .upnp])
    func `at the end the mapping is deleted`(kind: PortMappingProtocol) {
        let world = world(kind)
        world.run(.seconds(10))
        #expect(world.gateway.entries.count == 1)
        world.stop()
        #expect(!world.mapper.isEnded && world.mapper.external == nil)
        world.run(.milliseconds(20))
        #expect(world.mapper.isEnded && world.gateway.entries.isEmpty && world.mapper.deadline == nil)
    }

    @Test func `a gateway that does not answer does not delay the end forever`() {
        for kind in [PortMappingProtocol.pcp, .natPMP, .upnp] {
            let world = world(kind)
            world.run(.seconds(10))
            world.gateway.isMute = true
            world.stop()
            world.run(.seconds(20))
            #expect(world.mapper.isEnded, "\(kind)")
        }
    }

    @Test func `an end during the first request leaves nothing behind`() {
        for kind in [PortMappingProtocol.pcp, .upnp] {
            for milliseconds in stride(from: Int64(0), to: 700, by: 2) {
                let world = world(kind)
                world.run(.milliseconds(milliseconds))
                world.stop()
                world.run(.seconds(20))
                #expect(world.mapper.isEnded && world.gateway.entries.isEmpty, "\(kind), after \(milliseconds) ms")
            }
        }
    }
}
