import Base
import Control
import Foundation
import Testing

/// # Nodes behind real NATs
///
/// An Internet of namespaces: a hub with a bridge, on which are the controller and a beacon, both of them relays, and two
/// routers with Linux's address translation, each with a node behind it. The nodes have nothing in common but what the
/// routers let through.
///
/// ```
///   node a 192.168.1.2 ── router a 198.51.100.11 ──┐                          ┌── router b ── node b 192.168.2.2
///                                                  ├── hub 198.51.100.1 ──────┤   198.51.100.12
///                                                  │   controller             └── beacon 198.51.100.2
/// ```
final class Sites {
    /// Why there can be no such Internet here; `nil` where it is possible.
    static let obstacle: String? = {
        guard Namespace.isPossible else { return Namespace.obstacle }
        guard access("/usr/sbin/iptables", X_OK) == 0 else { return "needs iptables" }
        do {
            let probe = try Namespace("probe-sites")
            defer { probe.remove() }
            try probe.ip("link add wan type bridge")
            for rule in ["--random-fully", ""] {
                try probe.run("/usr/sbin/iptables", "-w -t nat -A POSTROUTING -o wan -j MASQUERADE \(rule)")
            }
            try probe.run("/usr/sbin/iptables", "-w -t nat -A PREROUTING -p udp -j DNAT --to 192.168.1.2")
        } catch { return "needs bridges and address translation: \(error)" }
        return nil
    }()
    /// Prints once why not.
    static let isPossible: Bool = {
        if let obstacle { print("tests of address translation are skipped: \(obstacle)") }
        return obstacle == nil
    }()

    /// How a router translates.
    enum NAT: String {
        case masquerade
        /// Each conversation has a port of its own.
        case random
        /// Everything that arrives goes to the node.
        case fullCone
        /// As `masquerade`, without a firewall: the router itself answers datagrams that are for no inside host.
        case withoutFirewall
        /// Behind a provider's NAT, which masquerades too.
        case double
        /// An office: nothing gets out but TCP to port 443.
        case only443
    }

    final class Node: AskedAgent {
        let name: String
        let namespace: Namespace
        let router: Namespace
        /// The provider's, where there is one.
        fileprivate var provider: Namespace?
        let outside: String
        fileprivate(set) var agent: Program!
        fileprivate let root: String

        fileprivate init(_ name: String, outside: String, root: String) throws {
            self.name = name
            self.outside = outside
            self.root = root
            namespace = try Namespace(name)
            do { router = try Namespace("router-\(name)") } catch {
                namespace.remove()
                throw error
            }
        }

        var socket: String { "\(root)/\(name).sock" }
        func why(_ peer: Node) throws -> PathsView { try ask(socket, AgentRequest.why(.init(peer: peer.name))) }
        func ping(_ peer: Node, count: Int64 = 1, interval: Int64 = 100) throws -> PingView {
            try ask(
                socket,
                AgentRequest.ping(.init(peer: peer.name, count: count, intervalMilliseconds: interval)))
        }
    }

    let a: Node
    let b: Node
    private let hub: Namespace
    private let beacon: Namespace
    /// Where the two nodes have no relay in common: the right one's.
    private let secondBeacon: Namespace?
    let root: String
    private let network: String
    private let threads: Int
    private var programs: [Program] = []

    /// `network` is the first three numbers of the outer one, `threads` those that carry each node's packets. With `isApart`
    /// the controller is no relay, each node reaches its own beacon, and neither reaches the other's. `prepare` runs before
    /// the agents start.
    static func with(
        _ first: NAT, _ second: NAT, network: String = "198.51.100", threads: Int = 1, isApart: Bool = false,
        prepare: (Sites) throws -> Void = { _ in },
        _ body: (Sites) throws -> Void
    ) throws {
        let sites = try Sites(network, threads: threads, isApart: isApart)
        defer { sites.close() }
        do {
            try sites.connect(first, second)
            try prepare(sites)
            try sites.start()
            try body(sites)
        } catch {
            sites.printLogs()
            throw error
        }
    }

    private init(_ network: String, threads: Int, isApart: Bool) throws {
        self.network = network
        self.threads = threads
        root = try temporaryFolder("sites")
        hub = try Namespace("hub")
        beacon = try Namespace("beacon")
        secondBeacon = isApart ? try Namespace("beacon-2") : nil
        a = try Node("left", outside: "\(network).11", root: root)
        b = try Node("right", outside: "\(network).12", root: root)
    }

    private func connect(_ first: NAT, _ second: NAT) throws {
        try hub.ip("link add wan type bridge")
        try hub.ip("addr add \(network).1/24 dev wan")
        try hub.ip("link set wan up")
        try attach(beacon, "\(network).2", port: "to-beacon")
        for (node, nat, lan) in [(a, first, "192.168.1"), (b, second, "192.168.2")] {
            if nat == .double {
                try connectThroughProvider(node)
            } else {
                try attach(node.router, node.outside, port: "to-\(node.name)")
            }
            let words = "link add lan netns \(node.router.name) type veth peer name eth0 netns \(node.namespace.name)"
            try Namespace.ip(words.split(separator: " ").map(String.init))
            try node.router.ip("addr add \(lan).1/24 dev lan")
            try node.router.ip("link set lan up")
            try node.namespace.ip("addr add \(lan).2/24 dev eth0")
            try node.namespace.ip("link set eth0 up")
            try node.namespace.ip("route add default via \(lan).1")
            try node.router.run("/usr/sbin/sysctl", "-qw net.ipv4.ip_forward=1")
            try translate(node.router, nat, inside: "\(lan).2")
        }
        guard let secondBeacon else { return }
        try attach(secondBeacon, "\(network).3", port: "to-beacon-2")
        for (node, beacon) in [(a, 3), (b, 2)] { try cut(node, from: beacon) }
    }

    /// The router forwards nothing between the node and the beacon at that place, nor to the other node's router.
    private func cut(_ node: Node, from beacon: Int) throws {
        for place in [beacon, 11, 12] {
            try filter(node.router, "-I FORWARD -o eth0 -d \(network).\(place) -j DROP")
        }
    }
    /// From now on it does.
    func reconnect(_ node: Node, with beacon: Int) throws {
        try filter(node.router, "-D FORWARD -o eth0 -d \(network).\(beacon) -j DROP")
    }

    private func attach(_ namespace: Namespace, _ address: String, port: String) throws {
        let words = "link add eth0 netns \(namespace.name) type veth peer name \(port) netns \(hub.name)"
        try Namespace.ip(words.split(separator: " ").map(String.init))
        try hub.ip("link set \(port) master wan up")
        try namespace.ip("addr add \(address)/24 dev eth0")
        try namespace.ip("link set eth0 up")
    }

    private func connectThroughProvider(_ node: Node) throws {
        let provider = try Namespace("provider-\(node.name)")
        node.provider = provider
        try attach(provider, node.outside, port: "to-\(node.name)")
        let words = "link add lan netns \(provider.name) type veth peer name eth0 netns \(node.router.name)"
        try Namespace.ip(words.split(separator: " ").map(String.init))
        try provider.ip("addr add 100.64.0.1/24 dev lan")
        try provider.ip("link set lan up")
        try node.router.ip("addr add 100.64.0.2/24 dev eth0")
        try node.router.ip("link set eth0 up")
        try node.router.ip("route add default via 100.64.0.1")
        try provider.run("/usr/sbin/sysctl", "-qw net.ipv4.ip_forward=1")
        try translate(provider, .masquerade, inside: "100.64.0.2")
    }

    private func translate(_ router: Namespace, _ nat: NAT, inside: String) throws {
        // A home's router answers nothing that was not asked for.
        if nat != .withoutFirewall { try filter(router, "-A INPUT -i eth0 -j DROP") }
        if nat == .only443 {
            try filter(router, "-A FORWARD -o eth0 -p tcp --dport 443 -j ACCEPT")
            try filter(router, "-A FORWARD -o eth0 -j DROP")
        }
        let more = nat == .random ? " --random-fully" : ""
        try filter(router, "-t nat -A POSTROUTING -o eth0 -j MASQUERADE\(more)")
        if nat == .fullCone { try filter(router, "-t nat -A PREROUTING -i eth0 -p udp -j DNAT --to \(inside)") }
    }

    /// The line of a node carries packets of at most so many bytes, and drops larger ones without an ICMP error.
    func narrow(_ node: Node, _ mtu: Int) throws {
        // Each datagram by itself: trains pass as one, whatever the line's size.
        for node in [a, b] { try node.namespace.ip("link set eth0 gso_max_segs 1") }
        try filter(node.router, "-A OUTPUT -p icmp -j DROP")
        try node.router.ip("link set eth0 mtu \(mtu)")
        try hub.ip("link set to-\(node.name) mtu \(mtu)")
    }

    /// The router resets each connection at both ends, once.
    func breakStreams(of node: Node) throws {
        try filter(node.router, "-I FORWARD -p tcp -m limit --limit 1/s -j REJECT --reject-with tcp-reset")
        sleep(2)
        try filter(node.router, "-D FORWARD -p tcp -m limit --limit 1/s -j REJECT --reject-with tcp-reset")
    }

    /// iptables(8) in a router.
    func filter(_ router: Namespace, _ rule: String) throws { try router.run("/usr/sbin/iptables", "-w \(rule)") }

    private func start() throws {
        let socket = "\(root)/controller.sock"
        try launch(
            hub, "asterism-controller", "controller",
            [
                "--data", "\(root)/controller", "--listen", "\(network).1:7900", "--tcp-listen", "\(network).1:443",
                "--http", "off", "--socket", socket,
                "--name", "controller", "--relay", secondBeacon == nil ? "on" : "off",
            ])
        func token(_ isForBeacons: Bool, _ uses: Int64) throws -> String {
            var token: String?
            try eventually("the controller gives a token") {
                let request = TokensCreate(uses: uses, isForBeacons: isForBeacons)
                let view: TokenView = try ask(socket, ControllerRequest.tokensCreate(request))
                token = view.token
                return true
            }
            return try #require(token)
        }
        let beacons = [beacon, secondBeacon].compactMap { $0 }
        for (index, namespace) in beacons.enumerated() {
            try launchAgent(
                namespace, index == 0 ? "beacon" : "beacon-2",
                ["--overlay", "off", "--tcp-listen", "\(network).\(index + 2):443", "--join-token", try token(true, 1)])
        }
        try eventually("the beacons are online") {
            let nodes: [NodeView] = try ask(socket, ControllerRequest.nodesList)
            return nodes.count { $0.state == .online && $0.roles.contains("beacon") } == beacons.count
        }
        let join = try token(false, 2)
        for node in [a, b] {
            node.agent = try launchAgent(
                node.namespace, node.name,
                [
                    "--overlay", "required", "--overlay-interface", "overlay", "--join-token", join,
                    "--data-plane-threads", "\(threads)",
                ])
        }
        try eventually("all are online, and the nodes have reported where they are") {
            let nodes: [NodeView] = try ask(socket, ControllerRequest.nodesList)
            guard nodes.count(where: { $0.state == .online }) == 2 + beacons.count else { return false }
            // Both relays are in use when a node has sessions with both.
            return try [a, b].allSatisfy { node in
                try node.peers().count { $0.isConnected } >= 2
            }
        }
        // An allocation is bound two round trips after its session, and the directory is updated a moment later.
        usleep(300_000)
    }

    @discardableResult
    private func launchAgent(_ namespace: Namespace, _ name: String, _ more: [String]) throws -> Program {
        try launch(
            namespace, "asterismd", name,
            [
                "--data", "\(root)/\(name)", "--listen", "0.0.0.0:7950", "--socket", "\(root)/\(name).sock", "--name",
                name, "--accelerators", "none",
            ] + more)
    }

    @discardableResult
    func launch(_ namespace: Namespace, _ name: String, _ log: String, _ words: [String]) throws -> Program {
        let path = "\(root)/\(log).log"
        let program = try namespace.enter { try Program(name, words, output: path) }
        programs.append(program)
        return program
    }

    /// Sends until the path is of that kind, and both know the other's NAT.
    func waitForPath(_ kind: PathsView.Kind, within seconds: Double = 8) throws -> PathsView {
        var last: PathsView?
        let end = Date() + seconds
        while Date() < end {
            _ = try a.ping(b, count: 2, interval: 50)
            last = (try? a.why(b)) ?? last
            guard let last, last.path == kind, let other = try? b.why(a), other.path == kind else { continue }
            if last.peerMapping != .unknown, other.peerMapping != .unknown { return last }
        }
        throw Fault("the path is not \(kind): \(last.map { "\($0)" } ?? "none")")
    }

    /// Both ends of a TCP connection through the overlay.
    func connection() throws -> (Socket, Socket) {
        let address = try #require(try b.status().overlay4)
        let listener = try Socket.listening(in: b.namespace, at: address, 9000)
        let near = try Socket.connecting(in: a.namespace, to: address, 9000)
        return (near, try listener.accepted())
    }

    private func close() {
        for program in programs { program.end() }
        for node in [a, b] {
            for namespace in [node.namespace, node.router, node.provider] { namespace?.remove() }
        }
        for namespace in [hub, beacon, secondBeacon] { namespace?.remove() }
        try? FileManager.default.removeItem(atPath: root)
    }

    private func printLogs() {
        for name in ["controller", "beacon", "beacon-2", "left", "right", "miniupnpd"] {
            let text = (try? String(contentsOfFile: "\(root)/\(name).log", encoding: .utf8)) ?? ""
            print("--- \(name):\n" + text.split(separator: "\n").suffix(15).joined(separator: "\n"))
        }
    }
}
