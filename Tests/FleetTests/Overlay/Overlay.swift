import Base
import Control
import Foundation
import Testing

/// # An overlay of real processes
///
/// Two namespaces, joined by a cable; an agent in each, and the controller next to the second. A test polls until it sees the
/// expected state, for a bounded time. However it ends, every process is killed by its pid, and the namespaces and the folder
/// are removed.
final class Overlay {
    let a: Node
    let b: Node
    private let root: String
    private var controller: Program?

    /// A namespace and the agent in it.
    final class Node: AskedAgent {
        let namespace: Namespace
        let name: String
        /// Its address in the underlay.
        var address: IPAddress
        fileprivate let root: String
        fileprivate(set) var agent: Program!
        private var arguments: [String] = []
        fileprivate(set) var v4 = IPAddress.any4
        fileprivate(set) var v6 = IPAddress.any6
        /// The end of the cable.
        static let cable = "cable"
        static let port: UInt16 = 7950

        fileprivate init(_ name: String, _ address: IPAddress, root: String) throws {
            self.name = name
            self.address = address
            self.root = root
            namespace = try Namespace(name)
        }

        var socket: String { "\(root)/\(name).sock" }
        var log: String { "\(root)/\(name).log" }

        /// It listens on every address, so that the node may move.
        func start(_ more: [String], _ prepare: @escaping () throws -> Void = {}) throws {
            arguments = more
            let words =
                [
                    "--data", "\(root)/\(name)", "--listen", "\(address.isIPv4 ? "0.0.0.0" : "[::]"):\(Node.port)",
                    "--socket", socket, "--name", name,
                    "--accelerators", "none", "--overlay-interface", "overlay",
                ] + (more.contains("--overlay") ? [] : ["--overlay", "required"]) + more
            agent = try namespace.enter { [log] in
                try prepare()
                return try Program("asterismd", words, output: log)
            }
        }

        /// As after a crash. `prepare` runs on the thread that starts it.
        func restart(_ more: [String]? = nil, _ prepare: @escaping () throws -> Void = {}) throws {
            agent.end()
            try start(more ?? arguments, prepare)
        }

        /// Begins a command of asterism(1) at this node.
        func start(cli words: [String], output: String) throws -> Program {
            let path = "\(root)/\(name).\(output)", socket = socket
            return try namespace.enter {
                try Program("asterism", words + ["--socket", socket], output: path, errors: path + ".errors")
            }
        }

        /// A command of asterism(1) at this node, to its end.
        func cli(_ words: [String]) throws -> (status: Int32?, output: String, errors: String) {
            let output = "cli.\(UInt64.random(in: .min ... .max))"
            let program = try start(cli: words, output: output)
            guard program.hasEnded(within: 30) else { throw Fault("\(words) does not end") }
            let errors = FileManager.default.contents(atPath: program.output + ".errors") ?? Data()
            return (program.exitStatus, program.text, String(decoding: errors, as: UTF8.self))
        }

        fileprivate func waitForAddresses() throws {
            try eventually("\(name) has its addresses") {
                try #require(agent.isRunning, "\(name) has ended")
                let status = try status()
                guard let v4 = status.overlay4, let v6 = status.overlay6 else { return false }
                (self.v4, self.v6) = (v4, v6)
                return true
            }
        }
    }

    /// Runs `body` with both agents online. `a`, `b`: more arguments of theirs.
    static func with(
        a: [String] = [], b: [String] = [], isOverlay: Bool = true, underlay: Underlay = .v4,
        through disorder: Disorder? = nil, _ body: (Overlay) throws -> Void
    )
        throws
    {
        let overlay = try Overlay(underlay)
        defer { overlay.close() }
        do {
            try overlay.connect(through: disorder)
            try overlay.start(a, b, isOverlay: isOverlay)
            try body(overlay)
        } catch {
            overlay.printLogs()
            throw error
        }
    }

    enum Underlay: String, CaseIterable {
        case v4 = "10.99.0."
        case v6 = "fd99::"
    }

    private init(_ underlay: Underlay) throws {
        root = try temporaryFolder("overlay")
        a = try Node("a", #require(IPAddress("\(underlay.rawValue)1")), root: root)
        do { b = try Node("b", #require(IPAddress("\(underlay.rawValue)2")), root: root) } catch {
            a.namespace.remove()
            throw error
        }
    }

    private func connect(through disorder: Disorder?) throws {
        func cable(_ first: (Namespace, String), _ second: (Namespace, String)) throws {
            let words =
                "link add \(first.1) netns \(first.0.name) type veth peer name \(second.1) netns \(second.0.name)"
            try Namespace.ip(words.split(separator: " ").map(String.init))
        }
        if let disorder {
            try cable((a.namespace, Node.cable), (disorder.namespace, "first"))
            try cable((b.namespace, Node.cable), (disorder.namespace, "second"))
            for name in ["first", "second"] { try disorder.namespace.ip("link set \(name) up") }
        } else {
            try cable((a.namespace, Node.cable), (b.namespace, Node.cable))
        }
        for node in [a, b] {
            // Duplicate address detection of IPv6 (RFC 4862) would make the tests wait.
            try node.namespace.ip("addr add \(node.address)/\(node.address.isIPv4 ? "24" : "64 nodad") dev cable")
            try node.namespace.ip("link set cable up")
            // Each datagram by itself, not trains of them.
            if disorder != nil { try node.namespace.ip("link set cable gso_max_segs 1") }
        }
        try disorder?.start(["first", "second"])
    }

    private func start(_ first: [String], _ second: [String], isOverlay: Bool) throws {
        let socket = "\(root)/controller.sock", log = "\(root)/controller.log"
        let words = [
            "--data", "\(root)/controller", "--listen", "\(SocketAddress(b.address, 7900))", "--http", "off",
            "--socket", socket,
            "--name", "controller",
        ]
        controller = try b.namespace.enter { try Program("asterism-controller", words, output: log) }
        var token: String?
        try eventually("the controller gives a token") {
            let view: TokenView = try ask(socket, ControllerRequest.tokensCreate(.init(ttlSeconds: nil, uses: 2)))
            token = view.token
            return true
        }
        let join = ["--join-token", try #require(token)]
        try a.start(first + join)
        try b.start(second + join)
        try waitUntilOnline()
        if isOverlay { try [a, b].forEach { try $0.waitForAddresses() } }
    }

    func endController() { controller?.end() }

    func nodes() throws -> [NodeView] { try ask("\(root)/controller.sock", ControllerRequest.nodesList) }

    func waitUntilOnline() throws {
        try eventually("both nodes are online") { try nodes().count { $0.state == .online } == 2 }
    }

    private func close() {
        for program in [a.agent, b.agent, controller] { program?.end() }
        for node in [a, b] { node.namespace.remove() }
        try? FileManager.default.removeItem(atPath: root)
    }

    private func printLogs() {
        for (name, program) in [("a", a.agent), ("b", b.agent), ("controller", controller)] {
            guard let program else { continue }
            let lines = program.text.split(separator: "\n").suffix(20).joined(separator: "\n")
            print("--- \(name), \(program.isRunning ? "runs" : "has ended"):\n\(lines)")
        }
    }
}
