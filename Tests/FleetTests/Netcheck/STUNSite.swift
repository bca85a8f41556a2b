import Base
import Control
import Foundation
import Testing

/// # A node, a router and a STUN server
///
/// Three namespaces: a real coturn with two addresses, so that it can answer from another address (RFC 5780), and
/// an agent behind a router with Linux's address translation. The node is in no fleet: a discovery needs none.
///
/// ```
///   node 192.168.1.2 ── router 198.51.100.11 ── hub 198.51.100.1 and .2: turnserver
/// ```
final class STUNSite {
    static let server = "/usr/bin/turnserver"
    /// Why there can be no such site here; `nil` where it is possible.
    static let obstacle: String? =
        Sites.obstacle ?? (access(server, X_OK) == 0 ? nil : "needs turnserver, of the package coturn")
    /// Prints once why not.
    static let isPossible: Bool = {
        if let obstacle { print("tests of NAT discovery with coturn are skipped: \(obstacle)") }
        return obstacle == nil
    }()

    /// What the router does.
    enum Road: String, CaseIterable {
        /// Forwards, and the hub has a route back.
        case open
        case masquerade
        /// Each conversation has a port of its own.
        case random
        /// Forwards what is no UDP.
        case blocked
        /// Changes no address, and lets in only what was asked for.
        case firewall
    }

    private let hub: Namespace
    private let router: Namespace
    private let node: Namespace
    private let root: String
    private var programs: [Program] = []

    var socket: String { "\(root)/agent.sock" }
    var log: String { (try? String(contentsOfFile: "\(root)/agent.log", encoding: .utf8)) ?? "" }

    static func with(_ road: Road, pod isPod: Bool = false, _ body: (STUNSite) throws -> Void) throws {
        let site = try STUNSite()
        defer { site.close() }
        do {
            try site.connect(road)
            try site.start(isPod, hasIPv6: hasIPv6 && road == .open)
            try body(site)
        } catch {
            print("--- agent:\n\(site.log)")
            throw error
        }
    }

    private init() throws {
        root = try temporaryFolder("stun")
        hub = try Namespace("hub")
        router = try Namespace("router")
        node = try Namespace("node")
    }

    private func connect(_ road: Road) throws {
        func join(_ words: String) throws { try Namespace.ip(words.split(separator: " ").map(String.init)) }
        try join("link add eth0 netns \(router.name) type veth peer name wan netns \(hub.name)")
        for address in ["198.51.100.1/24", "198.51.100.2/24"] { try hub.ip("addr add \(address) dev wan") }
        try hub.ip("link set wan up")
        try router.ip("addr add 198.51.100.11/24 dev eth0")
        try router.ip("link set eth0 up")
        try join("link add lan netns \(router.name) type veth peer name eth0 netns \(node.name)")
        try router.ip("addr add 192.168.1.1/24 dev lan")
        try router.ip("link set lan up")
        try node.ip("addr add 192.168.1.2/24 dev eth0")
        try node.ip("link set eth0 up")
        try node.ip("route add default via 192.168.1.1")
        try router.run("/usr/sbin/sysctl", "-qw net.ipv4.ip_forward=1")
        for rule in Self.rules(road) { try router.run("/usr/sbin/iptables", "-w \(rule)") }
        if [.open, .firewall].contains(road) { try hub.ip("route add 192.168.1.0/24 via 198.51.100.11") }
        if Self.hasIPv6, road == .open { try connect6() }
    }

    /// Whether this kernel has IPv6 at all.
    static let hasIPv6 = access("/proc/net/if_inet6", R_OK) == 0

    /// The same with IPv6, which is not translated.
    private func connect6() throws {
        for address in ["2001:db8:1::1/64", "2001:db8:1::2/64"] { try hub.ip("addr add \(address) dev wan nodad") }
        try hub.ip("route add 2001:db8:2::/64 via 2001:db8:1::11")
        try router.ip("addr add 2001:db8:1::11/64 dev eth0 nodad")
        try router.ip("addr add 2001:db8:2::1/64 dev lan nodad")
        try router.run("/usr/sbin/sysctl", "-qw net.ipv6.conf.all.forwarding=1")
        try node.ip("addr add 2001:db8:2::2/64 dev eth0 nodad")
        try node.ip("route add default via 2001:db8:2::1")
    }

    private static func rules(_ road: Road) -> [String] {
        let masquerade = "-t nat -A POSTROUTING -o eth0 -j MASQUERADE"
        return switch road {
        case .open: []
        case .masquerade: ["-A INPUT -i eth0 -j DROP", masquerade]
        case .random: ["-A INPUT -i eth0 -j DROP", masquerade + " --random-fully"]
        case .blocked: ["-A FORWARD -p udp -j DROP", masquerade]
        case .firewall:
            [
                "-A FORWARD -i eth0 -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A FORWARD -i eth0 -j DROP",
            ]
        }
    }

    private func start(_ isPod: Bool, hasIPv6: Bool) throws {
        let root = root
        var words =
            "-n --no-auth --stun-only --no-tcp --no-tls --no-dtls --no-cli --no-stdout-log -p 3478 -L 198.51.100.1 "
            + "-L 198.51.100.2 --log-file \(root)/turn.log --pidfile \(root)/turn.pid"
        if hasIPv6 { words += " -L 2001:db8:1::1 -L 2001:db8:1::2" }
        let arguments = words.split(separator: " ").map(String.init)
        programs.append(
            try hub.enter {
                try Program(Self.server, arguments, output: "\(root)/turn.out")
            })
        let options =
            [
                "--data", "\(root)/agent", "--listen", "0.0.0.0:7950", "--socket", socket, "--name", "node",
                "--accelerators", "none", "--overlay", "off", "--stun", "198.51.100.1:3478",
            ] + (hasIPv6 ? ["--stun", "[2001:db8:1::1]:3478"] : [])
        let environment = isPod ? ["KUBERNETES_SERVICE_HOST": "10.96.0.1", "HOSTNAME": "trainer-0"] : [:]
        programs.append(
            try node.enter {
                try Program("asterismd", options, output: "\(root)/agent.log", environment: environment)
            })
    }

    /// The agent's view, once it shows anything about UDP: the server and the agent start at the same time.
    func netcheck() throws -> NetcheckView {
        var last: NetcheckView?
        try eventually("the agent has run NAT discovery") {
            let view: NetcheckView = try ask(socket, AgentRequest.netcheck)
            last = view
            return view.ipv4.udp.value == .works
        }
        return try #require(last)
    }

    static let secondAddress = IPAddress("192.168.1.3")!
    func addAddress() throws { try node.ip("addr add \(Self.secondAddress)/24 dev eth0") }

    /// NAT discoveries that the agent's log holds.
    var discoveries: Int { log.split(separator: "\n").count { $0.contains("asterismd: NAT discovery ") } }

    private func close() {
        for program in programs { program.end() }
        for namespace in [hub, router, node] { namespace.remove() }
        try? FileManager.default.removeItem(atPath: root)
    }
}
