import Base
import Configuration
import Control
import Glibc
import Testing

/// Ports, folders and disks that are not as they should be, and a configuration that changes.
@Suite(.serialized) struct DaemonTroubleTests {
    /// A socket of this process, which is what holds the port.
    private final class Held {
        let port: UInt16
        private let descriptor: Int32

        init(_ type: __socket_type, at port: UInt16 = 0, ip: UInt32 = 0x7f00_0001) throws {
            descriptor = socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = ip.bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let descriptor = descriptor
            let result = withUnsafeMutableBytes(of: &address) { bytes in
                let pointer = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
                let code = bind(descriptor, pointer, length)
                getsockname(descriptor, pointer, &length)
                return code
            }
            try #require(result == 0, "port \(port): errno \(errno)")
            if type == SOCK_STREAM { try #require(listen(descriptor, 1) == 0) }
            self.port = UInt16(bigEndian: address.sin_port)
        }

        deinit { close(descriptor) }
    }

    private static func agent(_ folder: String, _ more: [String]) -> [String] {
        [
            "--data", "\(folder)/data", "--socket", "\(folder)/a.sock", "--name", "a", "--overlay", "off",
            "--accelerators", "none", "--port-mapping", "off",
        ] + (more.contains("--config") ? [] : ["--config", "none"]) + more
    }
    private static func controller(_ folder: String, _ more: [String]) -> [String] {
        [
            "--config", "none", "--data", "\(folder)/data", "--socket", "\(folder)/c.sock", "--name", "c",
        ] + (more.contains("--http") ? [] : ["--http", "off"])
            + (more.contains("--listen") ? [] : ["--listen", "127.0.0.1:0"]) + more
    }

    // MARK: Ports

    @Test func `a port that is taken names its holder`() throws {
        try withFolder { folder in
            let udp = try Held(SOCK_DGRAM), tcp = try Held(SOCK_STREAM)
            let cases: [(program: String, words: [String], option: String, port: UInt16)] = [
                ("asterismd", Self.agent(folder, ["--listen", "127.0.0.1:\(udp.port)"]), "--listen", udp.port),
                (
                    "asterismd",
                    Self.agent(folder, ["--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:\(tcp.port)"]),
                    "--tcp-listen", tcp.port
                ),
                (
                    "asterism-controller", Self.controller(folder, ["--listen", "127.0.0.1:\(udp.port)"]), "--listen",
                    udp.port
                ),
                (
                    "asterism-controller",
                    Self.controller(folder, ["--http-insecure", "--http", "127.0.0.1:\(tcp.port)"]), "--http",
                    tcp.port
                ),
                (
                    "asterism-controller", Self.controller(folder, ["--tcp-listen", "127.0.0.1:\(tcp.port)"]),
                    "--tcp-listen", tcp.port
                ),
            ]
            for (program, words, option, port) in cases {
                let run = try DaemonRun.run(program, words, in: folder)
                #expect(run.status == 5)
                let line = run.text.split(separator: "\n").last.map(String.init) ?? ""
                #expect(line.hasPrefix("\(program): error: \(option): 127.0.0.1:\(port) is in use by "), "\(run.text)")
                #expect(line.hasSuffix(" (pid \(getpid()))"), "\(line)")
            }
            let file = "\(folder)/a.yaml"
            try write("# one line\nlisten: 127.0.0.1:\(udp.port)\n", file)
            let run = try DaemonRun.run("asterismd", Self.agent(folder, ["--config", file]), in: folder)
            #expect(run.status == 5)
            #expect(run.text.contains("error: \(file):2: listen: 127.0.0.1:\(udp.port) is in use by "), "\(run.text)")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "it takes another user's place"))
    func `without the permission to read descriptors, the holder's user is named`() throws {
        try withFolder { folder in
            let udp = try Held(SOCK_DGRAM)
            try #require(chmod(folder, 0o777) == 0)
            let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "\(DaemonRun.folder)/asterismd"]
            let run = try DaemonRun.run(
                "/usr/bin/setpriv", words + Self.agent(folder, ["--listen", "127.0.0.1:\(udp.port)"]), in: folder)
            // A checkout that other users may not enter cannot show this.
            if run.text.contains("setpriv: failed to execute") { return }
            #expect(run.status == 5)
            #expect(run.text.contains("127.0.0.1:\(udp.port) is in use by a process of uid 0\n"), "\(run.text)")
        }
    }

    @Test func `a default port in use is no reason to fail, and a configured port in use is`() throws {
        try withFolder { folder in
            // Held by this process, or already by another one.
            let held = try? Held(SOCK_DGRAM, at: 7951, ip: 0)
            let agent = try DaemonRun("asterismd", Self.agent(folder, []), log: "\(folder)/log")
            try agent.wait(for: "running")
            let notice = agent.text.split(separator: "\n").first { $0.contains("the default port is in use") }
            #expect(notice?.contains(" notice ") == true, "\(agent.text)")
            #expect(notice?.contains("0.0.0.0:7951 is in use") == true)
            if held != nil { #expect(notice?.contains("(pid \(getpid()))") == true) }
            #expect(!agent.text.contains("listen=0.0.0.0:7951 "))
            agent.kill(SIGTERM)
            #expect(agent.hasEnded(within: 10) && agent.exitStatus == 0)
            let chosen = try DaemonRun.run("asterismd", Self.agent(folder, ["--listen", "0.0.0.0:7951"]), in: folder)
            #expect(chosen.status == 5 && chosen.text.contains("--listen: 0.0.0.0:7951 is in use"), "\(chosen)")
        }
    }

    // MARK: Folders

    @Test func `a state folder that is in use, damaged or out of reach has its message and its status`() throws {
        try withFolder { folder in
            let listen = ["--listen", "127.0.0.1:0"]
            let first = try DaemonRun("asterismd", Self.agent(folder, listen), log: "\(folder)/log")
            try first.wait(for: "running")
            let second = try DaemonRun.run("asterismd", Self.agent(folder, listen), in: folder)
            #expect(second.status == 5 && second.text.contains("another process holds the lock"), "\(second)")
            first.kill(SIGTERM)
            #expect(first.hasEnded(within: 10))
            for (file, text) in [
                ("identity", "a key has 32 bytes, and this has 5"), ("membership", "is damaged"),
                ("workers.state", "is damaged"),
            ] {
                let path = "\(folder)/data/\(file)"
                try write("bytes", path)
                let run = try DaemonRun.run("asterismd", Self.agent(folder, listen), in: folder)
                #expect(run.status == 1 && run.text.contains(path) && run.text.contains(text), "\(run)")
                unlink(path)
            }
            let nowhere = try DaemonRun.run(
                "asterismd", Self.agent(folder, listen) + ["--data", "/proc/nothing"], in: folder)
            #expect(nowhere.status == 2 && nowhere.text.contains("--data: mkdir /proc/nothing: "), "\(nowhere)")
            let socket = try DaemonRun.run(
                "asterismd", Self.agent(folder, listen) + ["--socket", "/proc/nothing/a.sock"], in: folder)
            #expect(socket.status == 2 && socket.text.contains("--socket: mkdir /proc/nothing: "), "\(socket)")
        }
    }

    /// Runs the program on a full disk of its own.
    private func onFullDisk(_ program: String, _ words: [String], in folder: String) throws -> (Int32?, String) {
        let data = "\(folder)/data"
        mkdir(data, 0o700)
        let script = """
            mount -t tmpfs -o size=16k,mode=0700 tmpfs "$0" && cat /dev/zero > "$0/full" 2> /dev/null; exec "$@"
            """
        return try DaemonRun.run(
            "/usr/bin/unshare",
            ["--mount", "--propagation", "private", "/bin/sh", "-c", script, data, "\(DaemonRun.folder)/\(program)"]
                + words,
            in: folder)
    }

    @Test(.enabled(if: geteuid() == 0, "it mounts a small disk"))
    func `a full disk ends the start with its name`() throws {
        try withFolder { folder in
            let agent = try onFullDisk("asterismd", Self.agent(folder, ["--listen", "127.0.0.1:0"]), in: folder)
            #expect(agent.0 == 5 && agent.1.contains("No space left on device"), "\(agent)")
            let controller = try onFullDisk("asterism-controller", Self.controller(folder, []), in: folder)
            #expect(controller.0 == 5 && controller.1.contains("ENOSPC"), "\(controller)")
        }
    }

    // MARK: Reload

    @Test func `a reload applies what it can, names the rest, and keeps what a bad file would change`() throws {
        try withFolder { folder in
            let file = "\(folder)/a.yaml"
            try write(
                """
                allow: [icmp]
                shim: \(DaemonRun.folder)/asterism-shim
                join-token-file: \(folder)/token
                """, file)
            try write("no token", "\(folder)/token")
            let manager = try NotifySocket("\(folder)/notify")
            let agent = try DaemonRun(
                "asterismd", Self.agent(folder, ["--config", file, "--listen", "127.0.0.1:0", "--bench", "off"]),
                log: "\(folder)/log", environment: ["NOTIFY_SOCKET=\(folder)/notify"])
            try agent.wait(for: "running")
            #expect(try manager.next().hasPrefix("READY=1"))

            // A token is for the start; its file may be gone after that.
            unlink("\(folder)/token")
            try write(
                """
                join-token-file: \(folder)/token
                allow: [icmp]
                site: b
                label: {zone: a}
                bench: allow
                stun: [127.0.0.1:9]
                tool: /bin/true
                """, file)
            agent.kill(SIGHUP)
            try agent.wait(for: "these need a restart: tool, shim\n")
            #expect(agent.text.contains("reloaded: site, label, stun\n"), "\(agent.text)")
            // The command line still replaces the file, so bench has not changed.
            #expect(!agent.text.contains("bench"), "\(agent.text)")
            let reloading = try manager.next()
            #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="), "\(reloading)")
            #expect(try manager.next() == "READY=1")

            try write("allow: [icmp, bad]\nlisen: x\n", file)
            agent.kill(SIGHUP)
            try agent.wait(for: "not reloaded")
            #expect(agent.text.contains("configuration: \(file):2: unknown key 'lisen'"), "\(agent.text)")
            #expect(try manager.next().hasPrefix("RELOADING=1") && manager.next() == "READY=1")

            // Raised, so that the report itself is below the new level.
            try write(
                """
                log-level: error
                allow: []
                stun: [127.0.0.1:9]
                site: b
                label: zone=a
                shim: \(DaemonRun.folder)/asterism-shim
                join-token-file: \(folder)/token
                """, file)
            agent.kill(SIGHUP)
            try agent.wait(for: "reloaded: allow, log-level")
            let count = agent.text.split(separator: "\n").count
            agent.kill(SIGTERM)
            #expect(agent.hasEnded(within: 10) && agent.exitStatus == 0)
            // 'stopped' is a record of level info.
            #expect(agent.text.split(separator: "\n").count == count, "\(agent.text)")
            #expect(!agent.text.contains("stopped"))
        }
    }

    @Test func `the controller reloads the addresses that go into tokens`() throws {
        try withFolder { folder in
            let file = "\(folder)/c.yaml"
            try write("advertise: 192.0.2.1:7950\nrelay: on\n", file)
            let words = Self.controller(folder, []).map { $0 == "none" ? file : $0 }
            let controller = try DaemonRun("asterism-controller", words, log: "\(folder)/log")
            try controller.wait(for: "running")
            func places() throws -> [String] {
                let run = try DaemonRun.run(
                    "asterism", ["token", "create", "--socket", "\(folder)/c.sock"], in: folder)
                let word = run.text.split { $0 == " " || $0 == "\n" }.first { $0.hasPrefix("ast1-") }
                let token = try TokenText(String(try #require(word, "\(run)")))
                return token.addresses.map(\.description) + token.names.map(\.description)
            }
            #expect(try places() == ["192.0.2.1:7950"])
            try write("advertise: [192.0.2.9:7950, controller.example.org:7950]\nrelay: off\n", file)
            controller.kill(SIGHUP)
            try controller.wait(for: "these need a restart: relay")
            #expect(controller.text.contains("reloaded: advertise\n"))
            #expect(try places() == ["192.0.2.9:7950", "controller.example.org:7950"])
            controller.kill(SIGTERM)
            #expect(controller.hasEnded(within: 10) && controller.exitStatus == 0)
        }
    }
}

/// The service manager's end of sd_notify(3).
final class NotifySocket {
    private let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let descriptor = descriptor
        let code = withUnsafeBytes(of: &address) {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        try #require(code == 0)
        var patience = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// The next message that is about the state, or a failure after ten seconds.
    func next() throws -> String {
        while true {
            var buffer = [UInt8](repeating: 0, count: 1024)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            try #require(count > 0, "nothing was received")
            let text = String(decoding: buffer[..<count], as: UTF8.self)
            if !text.hasPrefix("STATUS=") && !text.hasPrefix("WATCHDOG=") { return text }
        }
    }
}
