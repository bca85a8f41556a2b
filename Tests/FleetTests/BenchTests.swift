import Control
import Foundation
import Testing

/// Measuring between two nodes that reach each other through the overlay only: each in a network namespace of its own,
/// with real interfaces.
@Suite struct BenchTests {
    @Test(.enabled(if: Lab.isPossible, "network namespaces need root, ip(8) and /dev/net/tun"))
    func `two nodes are measured through the mesh, and no server stays behind`() throws {
        let lab = try Lab()
        defer { lab.close() }
        try lab.start()

        let run = try lab.cli("a", ["bench", "beta", "--duration", "1", "--json"])
        #expect(run.status == 0, "\(run.errors)")
        let report = try #require(
            try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run.output)")
        #expect(report["name"] as? String == "beta")
        for way in ["there", "back"] {
            let way = report[way] as? [String: Any]
            #expect(way?["bitsPerSecond"] as? Int ?? 0 > 1_000_000, "\(run.output)")
            let trips = way?["trips"] as? [String: Any]
            #expect(trips?["sent"] as? Int == 100 && trips?["p99Microseconds"] != nil)
        }
        // It has gone through the data plane, and the server has ended.
        let peers = try JSONDecoder().decode(
            [PeerView].self, from: Data(lab.cli("a", ["peers", "--json"]).output.utf8))
        let beta = try #require(peers.first { $0.name == "beta" })
        #expect(beta.hasRoute && beta.datagramBytes == 1472)
        #expect(beta.packetBytesReceived > 1_000_000 && beta.packetBytesSent > 1_000_000)
        try eventually("the server has ended") { lab.servers.isEmpty }

        for (from, to, why) in [
            ("a", "gamma", "gamma has no network interface"), ("g", "beta", "this node has no network interface"),
        ] {
            let refused = try lab.cli(from, ["bench", to])
            #expect(refused.status == 5 && refused.errors.contains(why), "\(refused)")
        }

        // A server does not outlive its agent.
        let long = try lab.startCLI("a", ["bench", "beta", "--duration", "20"])
        try eventually("a server runs") { !lab.servers.isEmpty }
        lab.program("b")?.end()
        try eventually("and ends with its agent") { lab.servers.isEmpty }
        long.end()
    }
}

/// Two namespaces with a cable between them; a controller and node `b` in one, node `a` in the other, and node `g`, without
/// an interface of the overlay, beside `b`.
private final class Lab {
    static let isPossible: Bool = {
        geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0 && ipPath != nil
    }()
    private static let ipPath = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"].first { (path: String) in
        access(path, X_OK) == 0
    }

    private let root: String
    private let near: String
    private let far: String
    private var programs: [(name: String, program: Program)] = []
    private var runs = 0

    init() throws {
        var template = Array("/tmp/asterism-bench-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        root = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        near = "astbench\(getpid())a"
        far = "astbench\(getpid())b"
    }

    func close() {
        for (_, program) in programs.reversed() { program.end() }
        for name in [near, far] { _ = try? ip(["netns", "del", name]) }
        try? FileManager.default.removeItem(atPath: root)
    }

    func program(_ name: String) -> Program? { programs.first { $0.name == name }?.program }

    @discardableResult
    private func ip(_ arguments: [String]) throws -> String {
        // `isPossible` has looked.
        try run(Lab.ipPath!, arguments).output
    }

    private func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        let program = try start(path, arguments)
        try #require(program.hasEnded(within: 30), "\(path) \(arguments) does not end")
        let errors = FileManager.default.contents(atPath: program.output + ".errors") ?? Data()
        return (program.exitStatus ?? -1, program.text, String(decoding: errors, as: UTF8.self))
    }

    private func start(_ path: String, _ arguments: [String]) throws -> Program {
        runs += 1
        let output = "\(root)/run\(runs)"
        return try Program(path, arguments, output: output, errors: output + ".errors")
    }

    /// In a namespace, by the way of ip(8), which becomes the program.
    private func within(_ space: String, _ program: String, _ arguments: [String]) -> [String] {
        ["netns", "exec", space, "\(Program.directory)/\(program)"] + arguments
    }

    func cli(_ node: String, _ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        try run(
            Lab.ipPath!, within(node == "a" ? near : far, "asterism", arguments + ["--socket", "\(root)/\(node).sock"]))
    }

    func startCLI(_ node: String, _ arguments: [String]) throws -> Program {
        try start(
            Lab.ipPath!, within(node == "a" ? near : far, "asterism", arguments + ["--socket", "\(root)/\(node).sock"]))
    }

    func start() throws {
        for name in [near, far] { try ip(["netns", "add", name]) }
        try ip(["link", "add", "veth0", "netns", near, "type", "veth", "peer", "name", "veth0", "netns", far])
        for (name, address) in [(near, "10.77.1.1/24"), (far, "10.77.1.2/24")] {
            try ip(["-n", name, "addr", "add", address, "dev", "veth0"])
            for device in ["lo", "veth0"] { try ip(["-n", name, "link", "set", device, "up"]) }
        }
        try launch(
            "controller", far, "asterism-controller",
            [
                "--data", "\(root)/c", "--listen", "10.77.1.2:7900", "--http", "127.0.0.1:7951", "--socket",
                "\(root)/c.sock", "--name", "controller",
            ])
        var token = ""
        try eventually("the controller answers") {
            let made = try cli("c", ["token", "create", "--uses", "3", "--json"])
            let view = try? JSONDecoder().decode(TokenView.self, from: Data(made.output.utf8))
            token = view?.token ?? ""
            return !token.isEmpty
        }
        try node("a", "alpha", "10.77.1.1:7950", token, overlay: "required")
        try node("b", "beta", "10.77.1.2:7950", token, overlay: "required")
        try node("g", "gamma", "10.77.1.2:7960", token, overlay: "off")
        for name in ["a", "b", "g"] {
            try eventually("\(name) is a member") {
                let status = try cli(name, ["status", "--json"])
                return status.output.contains("\"member\"") && status.output.contains("\"isConnected\" : true")
            }
        }
    }

    private func node(_ name: String, _ full: String, _ listen: String, _ token: String, overlay: String) throws {
        try launch(
            name, name == "a" ? near : far, "asterismd",
            [
                "--data", "\(root)/\(name)", "--listen", listen, "--socket", "\(root)/\(name).sock", "--name", full,
                "--join-token", token, "--overlay", overlay, "--accelerators", "none",
            ])
    }

    private func launch(_ name: String, _ space: String, _ program: String, _ arguments: [String]) throws {
        programs.append((name, try start(Lab.ipPath!, within(space, program, arguments))))
    }

    /// The far ends of measurements that run under these programs' folder.
    var servers: [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { pid in
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let words = String(decoding: line, as: UTF8.self).split(separator: "\0")
            return words.count > 1 && words[0] == "\(Program.directory)/asterism" && words[1] == "bench-serve"
                && ProcessFacts.isAlive(pid)
        }
    }
}
