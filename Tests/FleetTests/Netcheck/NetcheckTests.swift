import Base
import Control
import Foundation
import Testing

extension OverlayTests {
    /// A discovery against a third-party STUN server, through real kernels.
    @Suite(.enabled(if: STUNSite.isPossible, "needs root, iproute2, iptables, network namespaces and coturn"))
    struct NetcheckTests {
        private static let outside = IPAddress("198.51.100.11")!
        private static let inside = IPAddress("192.168.1.2")!

        @Test func `a masquerading router is recognised`() throws {
            try STUNSite.with(.masquerade, pod: true) { site in
                let view = try site.netcheck()
                #expect(view.stun.count == 1 && view.stun[0].seen?.ip == Self.outside)
                #expect(view.stun[0].otherAddress?.ip == IPAddress("198.51.100.2"))
                // Linux keeps the inside port, so that its mapping seems to depend on nothing.
                #expect(view.ipv4.mapping == .known(.endpointIndependent))
                #expect(view.ipv4.filtering == .known(.addressAndPortDependent))
                #expect(view.ipv4.ports == .known(.preserving) && view.ipv4.hairpin == .known(.no))
                #expect(view.gateway4?.address == IPAddress("192.168.1.1"))
                #expect(view.kubernetes?.pod == "trainer-0" && view.kubernetes?.sourceNAT == .known(.yes))
                #expect(view.ipv6.udp == .unknown(.noAddress))
                #expect(view.relays.isEmpty && view.beacons.isEmpty)
            }
        }

        @Test func `a router of random ports is recognised`() throws {
            try STUNSite.with(.random) { site in
                let view = try site.netcheck()
                #expect(view.stun[0].seen?.ip == Self.outside && view.kubernetes == nil)
                #expect(view.ipv4.mapping == .known(.addressAndPortDependent))
                #expect(view.ipv4.filtering == .known(.addressAndPortDependent))
                #expect(view.ipv4.ports == .known(.random))
            }
        }

        @Test func `no router at all is recognised`() throws {
            try STUNSite.with(.open, pod: true) { site in
                let view = try site.netcheck()
                #expect(view.stun[0].seen?.ip == Self.inside)
                #expect(
                    view.ipv4.mapping == .known(.untranslated) && view.ipv4.filtering == .known(.endpointIndependent))
                #expect(view.ipv4.ports == .unknown(.noNAT))
                #expect(view.kubernetes?.sourceNAT == .known(.no))
                guard STUNSite.hasIPv6 else {
                    return print("a NAT discovery over IPv6 is skipped: this kernel has no IPv6")
                }
                #expect(view.stun[1].seen?.ip == IPAddress("2001:db8:2::2") && view.ipv6.udp == .known(.works))
                #expect(
                    view.ipv6.mapping == .known(.untranslated) && view.ipv6.filtering == .known(.endpointIndependent))
            }
        }

        @Test func `a firewall that does not translate is recognised`() throws {
            try STUNSite.with(.firewall) { site in
                let view = try site.netcheck()
                #expect(view.stun[0].seen?.ip == Self.inside && view.ipv4.mapping == .known(.untranslated))
                #expect(view.ipv4.filtering == .known(.addressAndPortDependent))
            }
        }

        @Test func `blocked UDP is recognised, and nothing else is claimed`() throws {
            try STUNSite.with(.blocked) { site in
                try eventually("the agent reports that UDP is blocked") {
                    let view: NetcheckView = try ask(site.socket, AgentRequest.netcheck)
                    return view.ipv4.udp.value == .blocked && view.stun[0].problem == "does not answer"
                        && view.ipv4.mapping.unknown == .noAnswer && view.ipv4.filtering.unknown == .noAnswer
                }
            }
        }

        @Test func `a discovery is made at the start and when the node's addresses change, unasked`() throws {
            try STUNSite.with(.masquerade) { site in
                // The first may come before the server does.
                try eventually("a NAT discovery at the start") { site.discoveries >= 1 }
                let before = site.discoveries
                try site.addAddress()
                try eventually("a NAT discovery at the new address") { site.discoveries > before }
                let view = try site.netcheck()
                #expect(view.interfaces.contains { $0.addresses.contains(STUNSite.secondAddress) })
            }
        }

        /// Three quarters of a minute; the kernel's own figure is nf_conntrack_udp_timeout, 30 s.
        @Test(.enabled(if: isRelease, "takes 45 s, so only release programs are measured"))
        func `the life of a mapping of Linux is found`() throws {
            try STUNSite.with(.masquerade) { site in
                var life = try site.netcheck().ipv4.lifetime
                #expect(life.unknown == .pending)
                let end = Date() + 80
                while life.atLeastSeconds == nil, Date() < end {
                    sleep(5)
                    life = try site.netcheck().ipv4.lifetime
                }
                #expect(life.atLeastSeconds == 20 && life.belowSeconds == 45)
            }
        }
    }

    /// The same from beacons alone: no STUN server is configured.
    @Suite(.enabled(if: Sites.isPossible, "needs root, iproute2, iptables, TUN and network namespaces"))
    struct BeaconsTests {
        @Test func `beacons show UDP, the mapping and the relays`() throws {
            try Sites.with(.masquerade, .random) { sites in
                for (node, mapping) in [
                    (sites.a, NetcheckView.Mapping.endpointIndependent), (sites.b, .endpointDependent),
                ] {
                    try eventually("both beacons have reported \(node.name) how they see it, and carry its datagrams") {
                        let view: NetcheckView = try ask(node.socket, AgentRequest.netcheck)
                        return view.beacons.count == 2 && view.ipv4.mapping.value == mapping
                            && view.relays.count { $0.state == .bound && $0.roundTripMicroseconds != nil } == 2
                    }
                    let view: NetcheckView = try ask(node.socket, AgentRequest.netcheck)
                    #expect(view.ipv4.udp == .known(.works) && view.stun.isEmpty)
                    #expect(view.beacons.allSatisfy { $0.seen.ip == IPAddress(node.outside) })
                    #expect(view.ipv4.filtering == .unknown(.notAsked))
                    #expect(view.interfaces.contains { $0.name == "overlay" && $0.isOverlay })
                }
            }
        }
    }
}

/// What needs no network.
@Suite struct StunOptionTests {
    @Test(arguments: ["192.0.2.1", "stun.example.org", "192.0.2.1:0", "192.0.2:3478"])
    func `a server that is none is refused by name`(_ text: String) throws {
        let folder = try temporaryFolder("stun")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let program = try Program(
            "asterismd", ["--data", "\(folder)/data", "--socket", "\(folder)/s", "--stun", text],
            output: "\(folder)/out")
        #expect(program.hasEnded(within: 20) && program.exitStatus != 0 && program.exitStatus != nil)
        #expect(program.text.contains("--stun: '\(text)' is not HOST:PORT"), "\(program.text)")
    }
}
