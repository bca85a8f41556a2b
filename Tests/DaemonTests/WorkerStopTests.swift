import Base
import Daemon
import EventLoop
import Glibc
import ShimProtocol
import Testing
import Wire

private let hasBash = access("/bin/bash", X_OK) == 0

/// A stop as the agent commands it: the signal and the grace are for every process of the worker.
extension WorkerTests {
    @Suite struct WorkerStopTests {
        /// How a worker's processes are tracked.
        private static let containments = testCgroup == nil ? [Containment.subreaper] : [.subreaper, .cgroup]

        private static func bench(_ containment: Containment) throws -> WorkerBench {
            let bench = try WorkerBench(cgroupRoot: containment == .cgroup ? testCgroup : nil)
            #expect(bench.host.containment == containment)
            // Saves its work within a second of the first TERM, as a training job does; at a second TERM it gives up.
            let saver = """
                trap 'trap - TERM; sleep 1; echo saved > "$1"; exit 0' TERM
                echo up
                while :; do sleep 0.05; done
                """
            let file = try FileDescriptor.open("\(bench.state)/saver", O_WRONLY | O_CREAT, mode: 0o755)
            try file.writeAll(saver.utf8)
            return bench
        }

        /// Runs a script in which `$S` is the saver, until so many processes have printed `up`.
        private static func start(
            _ bench: WorkerBench, _ worker: WorkerRef, _ script: String, ups: Int = 1, shell: String = "/bin/sh"
        ) throws {
            try bench.launch(worker, WorkerSpec(command: [shell, "-c", "S=\(bench.state)/saver; \(script)"]))
            try #require(bench.drive { bench.logText(worker).split(separator: "\n").count { $0 == "up" } == ups })
        }

        private static func isThere(_ bench: WorkerBench, _ worker: WorkerRef, _ name: String) -> Bool {
            access("\(bench.folder(worker))/work/\(name)", F_OK) == 0
        }

        private static let families: [(script: String, names: [String])] = [
            // A child in the foreground, as of `sh -c 'python train.py; echo done'`.
            ("sh $S a; echo done", ["a"]),
            ("setsid sh $S a & wait", ["a"]),
            ("(setsid sh -c 'sh $0 a & exit' $S &); sleep 300", ["a"]),
            ("sh $S a & (env -i setsid sh $S b &) ; sh -c 'sh $0 c; true' $S", ["a", "b", "c"]),
        ]

        @Test(arguments: containments, 0..<4)
        func `every process gets the stop signal and the grace`(containment: Containment, family: Int) throws {
            let bench = try Self.bench(containment)
            defer { bench.tearDown() }
            let worker = WorkerRef("saving", generation: 1)
            let (script, names) = Self.families[family]
            try Self.start(bench, worker, script, ups: names.count)
            let begin = bench.loop.now
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 20))
            let end = try bench.awaitEnd(worker)
            let time = bench.loop.now - begin
            // The main process died of the signal, and that is the end that counts.
            #expect(end.exit.signal == SIGTERM && end.leftovers == 0)
            for name in names { #expect(Self.isThere(bench, worker, name), "\(name)") }
            #expect(time >= .milliseconds(900) && time < .seconds(8), "\(time)")
            #expect(processes(having: "ASTERISM_WORKER=saving/").isEmpty)
        }

        @Test(arguments: containments)
        func `what starts after the signal is not signalled`(containment: Containment) throws {
            let bench = try Self.bench(containment)
            defer { bench.tearDown() }
            let worker = WorkerRef("late", generation: 1)
            let script = """
                save() { for i in 1 2 3 4 5 6; do (sleep 0.$i; echo x > late.$i) & done; exit 3; }
                trap save TERM; echo up; while :; do sleep 0.02; done
                """
            try Self.start(bench, worker, script)
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 20))
            let end = try bench.awaitEnd(worker)
            #expect(end.exit.status == 3 && end.leftovers == 0)
            for number in 1...6 { #expect(Self.isThere(bench, worker, "late.\(number)"), "\(number)") }
        }

        @Test(arguments: containments)
        func `a worker that ignores the signal is killed at the end of the grace, and not before`(
            containment: Containment
        ) throws {
            let bench = try Self.bench(containment)
            defer { bench.tearDown() }
            let worker = WorkerRef("deaf", generation: 1)
            try Self.start(bench, worker, "(trap '' TERM; echo up; exec setsid sleep 300) & wait")
            let begin = bench.loop.now
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 2))
            let end = try bench.awaitEnd(worker)
            let time = bench.loop.now - begin
            #expect(end.exit.signal == SIGTERM && end.leftovers == 1)
            #expect(time >= .milliseconds(1900) && time < .seconds(5), "\(time)")
        }

        @Test(arguments: containments)
        func `a worker that obeys is stopped at once, and one without grace is killed at once`(
            containment: Containment
        ) throws {
            let bench = try Self.bench(containment)
            defer { bench.tearDown() }
            let polite = WorkerRef("polite", generation: 1), deaf = WorkerRef("deaf", generation: 1)
            try Self.start(bench, polite, "echo up; sleep 300 & sleep 300")
            try Self.start(bench, deaf, "trap '' TERM; echo up; while :; do sleep 0.05; done")
            let begin = bench.loop.now
            #expect(bench.host.signal(polite, SIGTERM, graceSeconds: 60))
            #expect(bench.host.signal(deaf, SIGTERM, graceSeconds: 0))
            #expect(try bench.awaitEnd(polite).exit.signal == SIGTERM)
            #expect(try bench.awaitEnd(deaf).exit.signal == SIGKILL)
            #expect(bench.loop.now - begin < .seconds(4))
        }

        @Test func `a process that is stopped is continued, so that it can end`() throws {
            let bench = try Self.bench(.subreaper)
            defer { bench.tearDown() }
            let worker = WorkerRef("halted", generation: 1)
            try Self.start(bench, worker, "sh -c 'sh $0 a & kill -STOP $$' $S & sleep 300")
            bench.drive(for: .milliseconds(300)) { false }
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 20))
            #expect(try bench.awaitEnd(worker).leftovers == 0)
            #expect(Self.isThere(bench, worker, "a"))
        }

        @Test(.enabled(if: hasBash, "needs bash"))
        func `a shell with job control sees no child stop`() throws {
            let bench = try Self.bench(.subreaper)
            defer { bench.tearDown() }
            let worker = WorkerRef("jobs", generation: 1)
            try Self.start(
                bench, worker, "trap : TERM; set -m; sh $S a; echo status $? > b; exit 5", shell: "/bin/bash")
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 20))
            #expect(try bench.awaitEnd(worker).exit.status == 5)
            #expect(Self.isThere(bench, worker, "a"))
            // 147 is 128 and SIGSTOP: the shell would have gone on before its child ended.
            #expect(contents("\(bench.folder(worker))/work/b") == Array("status 0\n".utf8))
        }

        @Test(arguments: containments)
        func `the grace goes on without the agent, and a second command neither repeats the signal nor extends it`(
            containment: Containment
        ) throws {
            let bench = try Self.bench(containment)
            defer { bench.tearDown() }
            let saving = WorkerRef("saving", generation: 1), deaf = WorkerRef("deaf", generation: 1)
            try Self.start(bench, saving, "sh $S a; echo done")
            try Self.start(bench, deaf, "(trap '' TERM; echo up; exec sleep 300) & wait")
            let begin = bench.loop.now
            for worker in [saving, deaf] { #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 3)) }
            bench.stopHost()
            usleep(500_000)
            try bench.startHost()
            let found = bench.host.adopt()
            #expect(found.count == 2)
            for one in found {
                guard case .running = one.state else {
                    Issue.record("\(one)")
                    continue
                }
                #expect(bench.host.signal(one.worker, SIGTERM, graceSeconds: 60))
            }
            #expect(try bench.awaitEnd(saving).leftovers == 0)
            #expect(Self.isThere(bench, saving, "a"))
            #expect(try bench.awaitEnd(deaf).leftovers == 1)
            let time = bench.loop.now - begin
            #expect(time >= .milliseconds(2900) && time < .seconds(6), "\(time)")
        }

        @Test func `an agent that does not come back leaves no process behind`() throws {
            let bench = try Self.bench(.subreaper)
            defer { bench.tearDown() }
            let worker = WorkerRef("alone", generation: 1)
            try Self.start(bench, worker, "(trap '' TERM; echo up; exec sleep 300) & wait")
            let family = processes(having: "ASTERISM_WORKER=alone/")
            let shim = try #require(bench.shim(of: worker))
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 1))
            bench.stopHost()
            // The shim writes the exit record after the last process is gone.
            #expect(bench.drive(for: .seconds(5)) { family.allSatisfy(isDead) && isDead(shim) })
            try bench.startHost()
            guard case .exited(let end)? = bench.host.adopt().first?.state else {
                Issue.record("not ended")
                return
            }
            #expect(end.exit.signal == SIGTERM && end.leftovers == 1)
        }

        @Test func `a shim that gets SIGTERM stops every process, and kills what is left after ten seconds`() throws {
            let bench = try Self.bench(.subreaper)
            defer { bench.tearDown() }
            let worker = WorkerRef("shimmed", generation: 1)
            try Self.start(bench, worker, "(trap '' TERM; echo up; exec sleep 300) & sh $S a", ups: 2)
            let begin = bench.loop.now
            kill(try #require(bench.shim(of: worker)), SIGTERM)
            let end = try bench.awaitEnd(worker, for: .seconds(20))
            let time = bench.loop.now - begin
            #expect(Self.isThere(bench, worker, "a") && end.leftovers == 1)
            #expect(time >= .seconds(9) && time < .seconds(15), "\(time)")
        }

        /// With the first process of a pid namespace in the role of systemd.
        @Test(.enabled(if: testCgroup != nil && geteuid() == 0, "needs root and a writable cgroup v2"))
        func `what systemd has signalled as a whole is not signalled again by the shim`() throws {
            let bench = try Self.bench(.cgroup)
            defer { bench.tearDown() }
            let folder = "\(bench.state)/unit", group = "\(testCgroup!)/unit.1"
            _ = system("mkdir -p '\(folder)/work' '\(group)'")
            defer { rmdir(group) }
            var launch = LaunchFile(
                name: "unit", generation: 1, nonce: 7, arguments: ["/bin/sh", "\(bench.state)/saver", "a"],
                workingDirectory: "\(folder)/work", logFileBytes: 1 << 20, logFiles: 2, stopSignal: SIGTERM)
            launch.environment = ["PATH=/usr/bin:/bin"]
            launch.cgroup = group
            try FileDescriptor.open("\(folder)/launch", O_WRONLY | O_CREAT).writeAll(launch.encoded)
            // The pause keeps two signals from becoming one.
            let systemd = """
                '\(WorkerBench.shim)' '\(folder)' > /dev/null & shim=$!
                until grep -q up '\(folder)'/log.*; do sleep 0.02; done
                for p in $(cat '\(group)/cgroup.procs'); do kill -TERM $p; done
                sleep 0.4; kill -TERM $shim; wait $shim
                """
            let file = try FileDescriptor.open("\(bench.state)/systemd", O_WRONLY | O_CREAT)
            try file.writeAll(systemd.utf8)
            #expect(system("unshare --pid --fork --mount-proc sh '\(bench.state)/systemd' 2>/dev/null") == 0)
            #expect(access("\(folder)/work/a", F_OK) == 0)
            guard case .ended(let record) = try ShimReport(decoding: contents("\(folder)/exit")) else {
                Issue.record("no end")
                return
            }
            #expect(record.outcome == .exited(status: 0) && record.leftovers == 0)
        }

        @Test(.enabled(if: testCgroup != nil, "no writable cgroup v2 on this machine"))
        func `a process that was moved into the cgroup is stopped with it, and waited for`() throws {
            let bench = try Self.bench(.cgroup)
            defer { bench.tearDown() }
            let worker = WorkerRef("joined", generation: 1)
            try Self.start(bench, worker, "echo up; sleep 300")
            var ended: ChildExit.Status?
            var command = ChildCommand("/bin/sh", ["\(bench.state)/saver", "\(bench.state)/guest"])
            command.environment = ["PATH=/usr/bin:/bin"]
            let guest = try ChildProcess(on: bench.loop, "guest", command) { ended = $0.status }
            try FileDescriptor.open("\(testCgroup!)/joined.1/cgroup.procs", O_WRONLY).writeAll("\(guest.pid)".utf8)
            bench.drive(for: .milliseconds(300)) { false }
            #expect(bench.host.signal(worker, SIGTERM, graceSeconds: 20))
            #expect(try bench.awaitEnd(worker).leftovers == 0)
            #expect(access("\(bench.state)/guest", F_OK) == 0)
            #expect(bench.drive { ended == .exited(code: 0) })
        }
    }
}
