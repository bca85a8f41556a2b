import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

private let isRoot = geteuid() == 0

/// Mode bits of a file, in octal.
private func mode(_ path: String) -> String {
    var status = stat()
    return lstat(path, &status) == 0 ? String(status.st_mode & 0o7777, radix: 8) : "none"
}

private func owner(_ path: String) -> UInt32? {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_uid : nil
}

private func touch(_ path: String, mode: mode_t) {
    close(creat(path, mode))
    chmod(path, mode)
}

extension WorkerTests {
    @Suite(.enabled(if: isRoot, "only root may change users")) struct WorkerUserTests {
        private static let script = "id -u; pwd; touch here && ls"

        private static func expectOwnFolder(_ bench: WorkerBench, _ worker: WorkerRef) throws {
            if bench.started(worker) == nil {
                try bench.start(worker, script) { $0.user = "nobody" }
            }
            #expect(try bench.awaitEnd(worker).exit.isSuccess)
            #expect(bench.logText(worker) == "65534\n\(bench.folder(worker))/work\nhere\n")
        }

        @Test(arguments: [0o077, 0o177, 0o000] as [mode_t])
        func `a worker of another user has a folder of its own, whatever the umask is`(mask: mode_t) throws {
            let old = umask(mask)
            defer { umask(old) }
            let state = WorkerBench.folder() + "/state"
            defer { _ = system("rm -rf '\(Files.parent(of: state))'") }
            chmod(Files.parent(of: state), 0o711)
            try Files.makeDirectory(state, mode: 0o711)
            let bench = try WorkerBench(state: state)
            defer { bench.tearDown() }
            let worker = WorkerRef("n", generation: 1)
            try Self.expectOwnFolder(bench, worker)
            let folder = bench.folder(worker)
            for path in [state, "\(state)/workers", "\(state)/workers/n", folder] {
                #expect(mode(path) == "711", "\(path)")
            }
            #expect(mode("\(folder)/work") == "700" && owner("\(folder)/work") == 65_534)
            #expect(mode("\(state)/trash") == "700")
            for name in ["launch", "exit", "started", "log.00000000000000000000"] {
                #expect(mode("\(folder)/\(name)") == "600", "\(name)")
            }
        }

        @Test func `an agent opens folders of its own that it finds closed, and hides what else is in them`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("n", generation: 1)
            try bench.start(worker, "exit 1") { $0.user = "nobody" }
            _ = try bench.awaitEnd(worker)
            bench.stopHost()
            bench.events = []
            // As systemd leaves it with StateDirectoryMode=0700, and an earlier agent under umask 077.
            let state = bench.state, folder = bench.folder(worker)
            touch("\(state)/identity", mode: 0o600)
            touch("\(state)/note", mode: 0o644)
            mkdir("\(state)/other", 0o755)
            for path in [state, "\(state)/workers", "\(state)/workers/n", folder] { chmod(path, 0o700) }
            try bench.startHost()
            for path in [state, "\(state)/workers", "\(state)/workers/n", folder] {
                #expect(mode(path) == "711", "\(path)")
            }
            #expect(mode("\(state)/identity") == "600" && mode("\(state)/note") == "600")
            #expect(mode("\(state)/other") == "700" && mode("\(folder)/work") == "700")
            _ = bench.host.adopt()
            try Self.expectOwnFolder(bench, worker)
        }

        /// Who owns the folder above the state folder: another user, or the agent's, which has not made it.
        @Test(arguments: [12_345, 0] as [UInt32])
        func `a closed folder above the state folder is named before anything starts`(above: UInt32) throws {
            let parent = WorkerBench.folder()
            defer { _ = system("rm -rf '\(parent)'") }
            mkdir("\(parent)/state", 0o711)
            chown(parent, above, above)
            let bench = try WorkerBench(state: "\(parent)/state")
            defer { bench.tearDown() }
            #expect(mode(parent) == "700" && owner(parent) == above)
            var spec = WorkerSpec(command: ["/bin/sh", "-c", "pwd"])
            spec.user = "nobody"
            let worker = WorkerRef("n", generation: 1)
            let problems = bench.host.check(spec)
            #expect(problems.map(\.field) == ["workingDirectory"])
            #expect(problems.first?.message.contains("user 65534 may not pass through '\(parent)'") == true)
            let thrown = #expect(throws: SpecProblem.self) { try bench.launch(worker, spec) }
            #expect(thrown == problems.first)
            #expect(access("\(parent)/state/workers/n", F_OK) != 0)
            // The ways out: a folder that the user may enter, or the agent's own user.
            spec.workingDirectory = "/"
            #expect(bench.host.check(spec).isEmpty)
            try bench.launch(worker, spec)
            #expect(try bench.awaitEnd(worker).exit.isSuccess && bench.logText(worker) == "/\n")
            #expect(bench.host.check(WorkerSpec(command: ["/bin/pwd"])).isEmpty)
        }

        @Test func `a working directory that cannot be reached is named with what is in the way`() throws {
            let parent = WorkerBench.folder()
            defer { _ = system("rm -rf '\(parent)'") }
            mkdir("\(parent)/inner", 0o755)
            var spec = WorkerSpec(command: ["/bin/true"])
            spec.user = "nobody"
            spec.workingDirectory = "\(parent)/inner"
            let problems = WorkerSpecCheck.problems(spec)
            #expect(problems.map(\.field) == ["workingDirectory"])
            #expect(
                problems.first?.message.hasSuffix("may not enter '\(parent)/inner', because of '\(parent)'") == true)
        }

        @Test func `numbers that would leave the worker root are refused, and it never starts`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let texts = ["4294967295", "4294967294+1", "-1", "+0", "00", "0x0", " 0", "0 ", "1e3", "4294967296"]
            for (index, text) in texts.enumerated() {
                let worker = WorkerRef("odd", generation: UInt64(index + 1))
                for field in ["user", "group"] {
                    var spec = WorkerSpec(command: ["/usr/bin/id"])
                    if field == "user" { (spec.user, spec.group) = (text, "nogroup") } else { spec.group = text }
                    #expect(bench.host.check(spec).map(\.field) == [field], "\(text)")
                    // Also of a specification that was not checked.
                    #expect(WorkerSpecCheck.problems(spec).map(\.field) == [field], "\(text)")
                    let thrown = #expect(throws: SpecProblem.self) { try bench.launch(worker, spec) }
                    #expect(thrown?.field == field && thrown?.message.contains("'\(text)'") == true)
                }
            }
            #expect(bench.host.live.isEmpty && bench.host.adopt().isEmpty)
        }

        @Test func `every other number is the user with that number`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let users: [(user: String, group: String?, ids: String)] = [
                ("0", nil, "0:0"), ("65534", nil, "65534:65534"), ("65535", "65535", "65535:65535"),
                ("4294967294", "4294967294", "4294967294:4294967294"), ("nobody", "0", "65534:0"),
                ("54321", "nogroup", "54321:65534"),
            ]
            for (index, one) in users.enumerated() {
                let worker = WorkerRef("plain", generation: UInt64(index + 1))
                try bench.start(worker, "echo $(id -u):$(id -g); grep -E '^(Uid|Gid)' /proc/self/status") {
                    ($0.user, $0.group) = (one.user, one.group)
                }
                #expect(try bench.awaitEnd(worker).exit.isSuccess)
                let lines = bench.logText(worker).split(separator: "\n").map(String.init)
                let (uid, gid) = (one.ids.split(separator: ":")[0], one.ids.split(separator: ":")[1])
                #expect(lines.first == one.ids)
                // Real, effective, saved and file system's.
                #expect(
                    lines.dropFirst().map { $0.split(separator: "\t").dropFirst().map(String.init) } == [
                        [String](repeating: String(uid), count: 4), [String](repeating: String(gid), count: 4),
                    ])
            }
        }
    }
}
