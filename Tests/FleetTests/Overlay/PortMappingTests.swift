import Base
import Control
import Foundation
import Testing

/// miniupnpd(8), which is what most home routers run, on a router of `Sites`.
private enum Router {
    /// Why it cannot be used; `nil` where it can.
    static let obstacle: String? = {
        if let obstacle = Sites.obstacle { return obstacle }
        for (program, package) in [("miniupnpd", "miniupnpd-nftables"), ("nft", "nftables")]
        where access("/usr/sbin/\(program)", X_OK) != 0 {
            return "needs \(program) (Debian's package \(package))"
        }
        return nil
    }()
    /// Prints once why not.
    static let isPossible: Bool = {
        if let obstacle { print("tests of port mapping with a real router are skipped: \(obstacle)") }
        return obstacle == nil
    }()

    /// Three numbers of an outer network that it takes for public: those of documentation it does not.
    static let network = "203.0.112"

    /// On the router of node `a`. A `kind` alone is spoken, and the others are not answered.
    @discardableResult
    static func start(_ sites: Sites, _ kind: String) throws -> Program {
        let rules = "\(sites.root)/rules.nft", configuration = "\(sites.root)/miniupnpd.conf"
        // It speaks NAT-PMP and PCP, or neither: PCP's datagrams begin with a 2.
        let dropsPCP = kind == "NAT-PMP" ? "udp dport 5351 @th,64,8 2 drop;" : ""
        try """
        table inet filter {
            chain input { type filter hook input priority 0; \(dropsPCP) }
            chain miniupnpd { }
            chain prerouting_miniupnpd { }
            chain postrouting_miniupnpd { }
            chain forward { type filter hook forward priority 0; jump miniupnpd; }
            chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
            chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
        }

        """.write(toFile: rules, atomically: true, encoding: .utf8)
        try """
        ext_ifname=eth0
        listening_ip=lan
        enable_natpmp=\(kind == "UPnP" ? "no" : "yes")
        enable_upnp=\(kind == "UPnP" ? "yes" : "no")
        secure_mode=yes
        system_uptime=no
        uuid=c43713ce-a437-4883-81d6-d6fdbf14e944
        allow 1024-65535 192.168.1.0/24 1024-65535
        deny 0-65535 0.0.0.0/0 0-65535

        """.write(toFile: configuration, atomically: true, encoding: .utf8)
        try sites.a.router.run("/usr/sbin/nft", "-f \(rules)")
        return try launch(sites)
    }

    static func launch(_ sites: Sites) throws -> Program {
        try sites.launch(
            sites.a.router, "/usr/sbin/miniupnpd", "miniupnpd",
            ["-d", "-f", "\(sites.root)/miniupnpd.conf", "-P", "\(sites.root)/miniupnpd.pid"])
    }

    /// What the kernel of the router translates for others.
    static func rules(_ sites: Sites) throws -> String {
        let output = "\(sites.root)/rules-\(UUID()).txt"
        return try sites.a.router.enter {
            let program = try Program("/usr/sbin/nft", ["list", "table", "inet", "filter"], output: output)
            guard program.hasEnded(within: 10), program.exitStatus == 0 else { throw Fault("nft: \(program.text)") }
            return program.text
        }
    }
}

extension OverlayTests {
    /// A node behind a router that gives each conversation another port, and that opens one if it is asked to.
    @Suite(.enabled(if: Router.isPossible, "needs miniupnpd, nft, and what the tests of address translation need"))
    struct PortMappingTests {
        private static let outside = SocketAddress("\(Router.network).11:7950")

        private static func waitForMapping(_ sites: Sites, _ kind: String) throws -> PortMappingView {
            var view: PortMappingView?
            try eventually("the router maps a port by \(kind)", "\(String(describing: view))") {
                view = try sites.a.status().portMapping
                return view?.protocol?.rawValue == kind && view?.externalAddress != nil
            }
            return try #require(view)
        }

        /// Without the mapping such a pair is relayed; see `SitesTests`.
        @Test(arguments: ["PCP", "NAT-PMP", "UPnP"])
        func
            `two routers of random ports are passed directly where one maps a port, and the mapping ends with the agent`(
                kind: String
            ) throws
        {
            try Sites.with(.random, .random, network: Router.network, prepare: { try Router.start($0, kind) }) {
                sites in
                let view = try Self.waitForMapping(sites, kind)
                #expect(view.externalAddress == Self.outside && view.internalPort == 7950 && view.problem == nil)
                #expect(view.gateway == IPAddress("192.168.1.1") && (view.lifetimeSeconds ?? 0) > 7000)
                #expect(try Router.rules(sites).contains("dport 7950"))
                let start = monotonicSeconds()
                _ = try sites.waitForPath(.direct)
                print("direct by \(kind) in \(monotonicSeconds() - start) s")
                // The path is there before a second beacon has answered.
                try eventually("both mappings are known") {
                    let path = try sites.a.why(sites.b)
                    return path.ownMapping == .endpointDependent && path.peerMapping == .endpointDependent
                }
                let back = try sites.b.why(sites.a)
                #expect(back.paths.first(where: \.isPrimary)?.address == Self.outside)
                #expect(try sites.a.counter("predictions") == 0 && sites.b.counter("predictions") == 0)
                #expect(try sites.a.ping(sites.b, count: 5, interval: 20).roundTripsMicroseconds.count == 5)
                #expect(try sites.b.ping(sites.a, count: 5, interval: 20).roundTripsMicroseconds.count == 5)
                sites.a.agent.send(SIGTERM)
                #expect(sites.a.agent.hasEnded(within: 10) && sites.a.agent.exitStatus == 0)
                #expect(try !Router.rules(sites).contains("dport 7950"))
            }
        }

        @Test func `a router's daemon that restarts gets the request for the port again`() throws {
            var daemon: Program?
            try Sites.with(
                .random, .random, network: Router.network, prepare: { daemon = try Router.start($0, "PCP") }
            ) { sites in
                _ = try Self.waitForMapping(sites, "PCP")
                let first = try #require(daemon)
                // Without a farewell, and without its rules.
                first.send(SIGKILL)
                #expect(first.hasEnded(within: 5))
                for chain in ["miniupnpd", "prerouting_miniupnpd"] {
                    try sites.a.router.run("/usr/sbin/nft", "flush chain inet filter \(chain)")
                }
                #expect(try !Router.rules(sites).contains("dport 7950"))
                sleep(4)
                _ = try Router.launch(sites)
                try eventually("the port is mapped again") { try Router.rules(sites).contains("dport 7950") }
            }
        }

        @Test func `a router that may not map refuses, and the pair is relayed as before`() throws {
            // The daemon takes addresses of documentation for private ones.
            try Sites.with(.random, .random, prepare: { try Router.start($0, "PCP") }) { sites in
                try eventually("the refusal is reported", within: 30) {
                    let view = try sites.a.status().portMapping
                    return view?.protocol == nil && view?.problem?.contains("PCP: ") == true
                }
                print("refused: \(try sites.a.status().portMapping?.problem ?? "")")
                #expect(try sites.waitForPath(.relayed).reason == .bothMappingsDependent)
                // A node whose router answers nothing is no slower to end.
                sites.b.agent.send(SIGTERM)
                #expect(sites.b.agent.hasEnded(within: 5) && sites.b.agent.exitStatus == 0)
            }
        }
    }
}
