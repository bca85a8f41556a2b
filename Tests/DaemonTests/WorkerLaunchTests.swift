import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

extension WorkerTests {
    @Suite struct WorkerLaunchTests {
        @Test func `exit codes and deadly signals are reported unchanged`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            for (number, code): (UInt64, Int32) in [(1, 0), (2, 1), (3, 77), (4, 255)] {
                let worker = WorkerRef("codes", generation: number)
                try bench.start(worker, "exit \(code)")
                let end = try bench.awaitEnd(worker)
                #expect(end.exit.status == code && end.exit.signal == nil && !end.exit.outOfMemory)
            }
            for (number, signal): (UInt64, Int32) in [(11, SIGKILL), (12, SIGTERM), (13, SIGSEGV), (14, SIGHUP)] {
                let worker = WorkerRef("codes", generation: number)
                try bench.start(worker, "kill -\(signal) $$; sleep 60")
                let end = try bench.awaitEnd(worker)
                #expect(end.exit.status == nil && end.exit.signal == signal)
            }
            #expect(bench.host.live.isEmpty)
        }

        @Test func `arguments, environment and folder arrive byte for byte, and nothing else does`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("exact", generation: 1)
            let odd = "a\nb\t\"c\" 'd' $e \\ é 漢字 \u{1F600}"
            var spec = WorkerSpec(command: [
                "/bin/sh", "-c", "printf '%s|' \"$@\" && pwd && env -0", "sh", odd, "", "x",
            ])
            spec.environment = [EnvironmentVariable("ODD", odd), EnvironmentVariable("PLAIN", "1")]
            spec.workingDirectory = "/usr"
            try bench.launch(worker, spec)
            #expect(try bench.awaitEnd(worker).exit.isSuccess)
            let text = bench.logText(worker)
            #expect(text.hasPrefix("\(odd)||x|/usr\n"))
            let variables = text.dropFirst("\(odd)||x|/usr\n".count).split(separator: "\0").map(String.init)
            #expect(variables.contains("ODD=\(odd)") && variables.contains("PLAIN=1"))
            let names = variables.map { $0.prefix { $0 != "=" } }.sorted()
            // PWD and _ are the shell's own.
            #expect(
                Set(names).subtracting(["PWD", "_", "OLDPWD", "SHLVL"]) == [
                    "ASTERISM_WORKER", "HOME", "ODD", "PATH", "PLAIN",
                ])
        }

        @Test func `a worker has a session of its own, default signals, no descriptors, and its folder`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("clean", generation: 1)
            let script = """
                cut -d' ' -f1,5,6 /proc/$$/stat; ls /proc/$$/fd | tr '\\n' ' '; echo
                # Without a child of its own: a shell that starts one blocks signals for a moment.
                while read -r line; do case $line in SigBlk*|SigIgn*) echo "$line";; esac; done < /proc/$$/status
                readlink /proc/$$/fd/0; pwd
                """
            let start = try bench.start(worker, script)
            #expect(try bench.awaitEnd(worker).exit.isSuccess)
            let lines = bench.logText(worker).split(separator: "\n").map(String.init)
            try #require(lines.count == 6)
            #expect(lines[0] == "\(start.pid) \(start.pid) \(start.pid)")
            #expect(lines[1].hasPrefix("0 1 2 "))
            #expect(lines[1].split(separator: " ").count == 3, "\(lines[1])")
            #expect(lines[2].hasSuffix("0000000000000000"))
            // The C library reserves 32 and 33 and allows no change of them, so a worker inherits the agent's.
            let ignored = try #require(UInt64(lines[3].suffix(16), radix: 16))
            #expect(ignored & ~(3 << 31) == 0)
            #expect(lines[4] == "/dev/null" && lines[5] == bench.folder(worker) + "/work")
        }

        @Test func `a generation that lives is not launched a second time`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("once", generation: 7)
            try bench.start(worker, "exec sleep 60")
            #expect(throws: SpecProblem.self) { try bench.launch(worker, WorkerSpec(command: ["/bin/true"])) }
            #expect(bench.host.live == [worker])
        }

        @Test func `a generation that has ended is launched again, and its log goes on where it was`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("again", generation: 7)
            // More runs than the log has files, which are for length and not for runs.
            for run in 1...8 {
                try bench.launch(worker, WorkerSpec(command: ["/bin/sh", "-c", "echo run \(run); exit \(run)"]))
                var ends: [WorkerEnd] = []
                #expect(
                    bench.drive(for: .seconds(10)) {
                        ends = bench.events.compactMap { if case .exited(worker, let end) = $0 { end } else { nil } }
                        return ends.count == run
                    })
                #expect(ends.last?.exit.status == Int32(run))
                #expect(ends.last?.logBytes == Int64(6 * run))
            }
            #expect(bench.logText(worker) == (1...8).map { "run \($0)\n" }.joined())
            #expect(bench.host.remove(worker))
            #expect(access(bench.folder(worker), F_OK) != 0)
        }

        @Test func `an exec that fails names its step and its field`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let script = "\(bench.state)/not-a-program"
            let file = try FileDescriptor.open(script, O_WRONLY | O_CREAT, mode: 0o755)
            try file.writeAll("no interpreter line\n".utf8)
            try file.close()
            let cases: [(command: String, folder: String?, field: String, word: String)] = [
                ("/nonexistent/program", nil, "command", "executing the program"),
                (script, nil, "command", "Exec format error"),
                ("no-such-name-anywhere", nil, "command", "No such file"),
                ("/bin/true", "/nonexistent", "workingDirectory", "entering the working directory"),
            ]
            for (index, one) in cases.enumerated() {
                let worker = WorkerRef("failing", generation: UInt64(index + 1))
                var spec = WorkerSpec(command: [one.command])
                spec.workingDirectory = one.folder
                try bench.launch(worker, spec)
                try #require(bench.drive { bench.isOver(worker) })
                let problem = try #require(bench.failure(worker))
                #expect(problem.field == one.field && problem.message.contains(one.word), "\(problem)")
                #expect(bench.started(worker) == nil)
            }
        }

        @Test func `a problem on this node is reported by field, and nothing is started`() throws {
            func fields(_ change: (inout WorkerSpec) -> Void) -> [String] {
                var spec = WorkerSpec(command: ["sh"])
                change(&spec)
                return WorkerSpecCheck.problems(spec).map(\.field)
            }
            #expect(fields { _ in } == [])
            #expect(fields { $0.user = "nosuchuser" } == ["user"])
            #expect(fields { $0.command = ["no-such-program"] } == ["command"])
            #expect(fields { $0.command = ["/etc/passwd"] } == ["command"])
            #expect(fields { $0.command = ["./relative"] } == ["command"])
            #expect(fields { $0.environment = [EnvironmentVariable("PATH", "/nonexistent")] } == ["command"])
            #expect(fields { $0.workingDirectory = "/nonexistent" } == ["workingDirectory"])
            #expect(fields { $0.workingDirectory = "/etc/passwd" } == ["workingDirectory"])
            #expect(fields { $0.limits.memoryBytes = 1 << 60 } == ["limits.memory"])
            #expect(fields { $0.limits.cpuMillicores = 1 << 40 } == ["limits.cpu"])
            #expect(fields { $0.limits.openFiles = 1 << 40 } == ["limits.openFiles"])
            #expect(
                fields { $0.environment = [EnvironmentVariable("ASTERISM_WORKER", "x")] } == [
                    "environment.ASTERISM_WORKER"
                ])
            if geteuid() == 0 {
                #expect(fields { $0.group = "nosuchgroup" } == ["group"])
                #expect(fields { $0.user = "54321" } == ["group"])
                #expect(fields { $0.user = "nobody" } == [])
                #expect(
                    fields {
                        $0.user = "nobody"; $0.workingDirectory = "/root"
                    } == ["workingDirectory"])
            } else {
                #expect(fields { $0.user = "root" } == ["user"])
            }
        }

        @Test(.enabled(if: geteuid() == 0, "only root may change users"))
        func `a worker of another user is that user, with its groups, and owns its folder`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("nobody", generation: 1)
            try bench.start(worker, "id -u; id -g; touch here && ls; cat ../launch 2>/dev/null; exit 0") {
                $0.user = "nobody"
            }
            _ = try bench.awaitEnd(worker)
            #expect(bench.logText(worker) == "65534\n65534\nhere\n")
        }

        @Test func `limits without a cgroup are set for the process, and unenforced ones are reported`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("limits", generation: 1)
            let start = try bench.start(worker, "ulimit -n; ulimit -d") {
                $0.limits.openFiles = 123
                $0.limits.memoryBytes = 64 << 20
                $0.limits.cpuMillicores = 500
            }
            #expect(start.containment == .subreaper && start.unenforced == ["limits.memory", "limits.cpu"])
            _ = try bench.awaitEnd(worker)
            #expect(bench.logText(worker) == "123\n65536\n")
        }

        @Test func `two hundred launches, timed from the call to the worker's own clock`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let before = descriptorCount()
            var times: [Int64] = []
            for number in 1...200 as ClosedRange<UInt64> {
                let worker = WorkerRef("timed", generation: number)
                let called = wallNanoseconds()
                try bench.launch(worker, WorkerSpec(command: ["/bin/date", "+%s%N"]))
                #expect(try bench.awaitEnd(worker).exit.isSuccess)
                let text = bench.logText(worker).prefix { $0.isNumber }
                times.append(try #require(Int64(text)) - called)
                bench.host.remove(worker)
            }
            times.sort()
            print(
                "launch to the worker's own clock, one after the other: p50 \(Interval(nanoseconds: times[100])), "
                    + "p99 \(Interval(nanoseconds: times[197])), most \(Interval(nanoseconds: times[199]))")
            bench.drive(for: .milliseconds(200)) { false }
            // Other tests of the process open and close some of their own meanwhile.
            #expect(descriptorCount() < before + 50)

            let begin = bench.loop.now
            for number in 1...100 as ClosedRange<UInt64> {
                try bench.launch(WorkerRef("burst", generation: number), WorkerSpec(command: ["/bin/true"]))
            }
            let called = bench.loop.now - begin
            try #require(bench.drive(for: .seconds(30)) { bench.host.live.isEmpty })
            print("a hundred launches at once: called in \(called), all ended in \(bench.loop.now - begin)")
            #expect((1...100).allSatisfy { bench.end(WorkerRef("burst", generation: UInt64($0)))?.exit.status == 0 })
        }

        @Test func `a shim is small`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("small", generation: 1)
            try bench.start(worker, "echo up; sleep 60")
            try #require(bench.drive { !bench.log(worker).isEmpty })
            let shim = try #require(bench.shim(of: worker))
            let status = String(decoding: contents("/proc/\(shim)/status"), as: UTF8.self)
            let lines = status.split(separator: "\n").filter {
                $0.hasPrefix("Rss") || $0.hasPrefix("VmRSS") || $0.hasPrefix("Threads")
            }
            print("shim: \(lines.joined(separator: ", ").filter { $0 != "\t" })")
            #expect(lines.contains { $0.hasPrefix("VmRSS") })
        }
    }
}
