import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

/// A folder of cgroup v2 that this test may make, or why not.
let testCgroup: String? = {
    guard let found = ControlGroup.detect(), found.isWritable else { return nil }
    let own = (found.own ?? "/") == "/" ? "" : found.own!
    for parent in [found.mount + own, found.mount] {
        let path = "\(parent)/asterism-test-\(getpid())"
        if mkdir(path, 0o755) == 0 {
            rmdir(path)
            return path
        }
    }
    return nil
}()

private let hasMemoryController: Bool = {
    guard let testCgroup, let groups = try? WorkerCgroups(root: testCgroup) else { return false }
    defer { _ = system("rmdir '\(testCgroup)/shims' '\(testCgroup)'") }
    return groups.controllers.contains("memory")
}()

/// A program whose first thread ends while a second one works on (60 is exit(2), of one thread, on x86_64).
private let headless = """
    perl -e 'use threads; async { print "up\\n"; $| = 1; sleep 300 }->detach; sleep 1; syscall(60, 0)'
    """
#if arch(x86_64)
    private let hasPerlThreads = system("perl -Mthreads -e 1 2>/dev/null") == 0
#else
    private let hasPerlThreads = false
#endif

private func isHeadless(_ process: Int32) -> Bool {
    !isDead(process) && String(decoding: contents("/proc/\(process)/stat"), as: UTF8.self).contains(") Z ")
}

private let freezer = "/sys/fs/cgroup/freezer"

private func put(_ text: String, _ path: String) {
    guard let file = try? FileDescriptor.open(path, O_WRONLY) else { return }
    try? file.writeAll(text.utf8)
}

extension WorkerTests {
    @Suite struct WorkerKillTests {
        /// Fifty processes: sessions of their own, double forks, stopped ones, ones that ignore what can be ignored.
        private static let tree = """
            i=0
            while [ $i -lt 12 ]; do
                setsid sleep 300 &
                (setsid sh -c 'sleep 300 & exit') &
                (trap '' TERM HUP INT; sh -c 'sleep 300; true') &
                i=$((i+1))
            done
            sh -c 'kill -STOP $$' &
            env -i sleep 300 &
            echo up
            sleep 300
            """

        private func killsTree(_ bench: WorkerBench) throws {
            let worker = WorkerRef("tree", generation: 1)
            try bench.start(worker, WorkerKillTests.tree)
            try #require(
                bench.drive {
                    bench.host.logBytes(worker) == 3 && processes(having: "ASTERISM_WORKER=tree/1/").count >= 48
                })
            let family = processes(having: "ASTERISM_WORKER=tree/1/")
            let begin = bench.loop.now
            #expect(bench.host.killTree(worker))
            let end = try bench.awaitEnd(worker)
            print("killed \(family.count) processes in \(bench.loop.now - begin)")
            #expect(end.exit.signal == SIGKILL)
            #expect(processes(having: "ASTERISM_WORKER=tree/1/").isEmpty && family.allSatisfy(isDead))
            #expect(bench.shim(of: worker) == nil)
        }

        @Test func `killing the tree leaves no process, whatever its session or parent`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            try killsTree(bench)
        }

        @Test(.enabled(if: hasPerlThreads, "needs perl with threads, on x86_64"), arguments: [false, true])
        func `a process whose first thread has ended is killed too`(shimIsDead: Bool) throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("headless", generation: 1)
            try bench.start(worker, "(setsid \(headless) &) ; sleep 300")
            var found: Int32?
            try #require(
                bench.drive {
                    found = numbers(in: "/proc").first {
                        String(decoding: contents("/proc/\($0)/stat"), as: UTF8.self).contains("(perl) Z ")
                            && isHeadless($0)
                    }
                    return found != nil
                })
            let process = try #require(found)
            if shimIsDead {
                kill(try #require(bench.shim(of: worker)), SIGKILL)
            } else {
                #expect(bench.host.killTree(worker))
            }
            try #require(bench.drive { bench.isOver(worker) })
            #expect(isDead(process))
        }

        @Test(.enabled(if: testCgroup != nil, "no writable cgroup v2 on this machine"))
        func `killing the tree by cgroup leaves no process, and no cgroup`() throws {
            let bench = try WorkerBench(cgroupRoot: testCgroup)
            defer { bench.tearDown() }
            #expect(bench.host.containment == .cgroup && bench.host.cgroupProblem == nil)
            try killsTree(bench)
            #expect(access("\(testCgroup!)/tree.1", F_OK) != 0)
        }

        @Test(.enabled(if: testCgroup != nil, "no writable cgroup v2 on this machine"))
        func `a worker starts in its cgroup, its shim in another, and a killed shim leaves an empty one`() throws {
            let bench = try WorkerBench(cgroupRoot: testCgroup)
            defer { bench.tearDown() }
            let worker = WorkerRef("grouped", generation: 1)
            let start = try bench.start(worker, "env -i setsid sleep 300 & grep ^0:: /proc/self/cgroup; sleep 300")
            #expect(start.containment == .cgroup)
            try #require(bench.drive { bench.host.logBytes(worker) > 0 })
            #expect(bench.logText(worker).hasSuffix("/grouped.1\n"))
            let shim = try #require(bench.shim(of: worker))
            #expect(String(decoding: contents("/proc/\(shim)/cgroup"), as: UTF8.self).contains("/shims\n"))
            kill(shim, SIGKILL)
            try #require(bench.drive { bench.isLost(worker) })
            #expect(isDead(start.pid) && access("\(testCgroup!)/grouped.1", F_OK) != 0)
        }

        @Test(.enabled(if: hasMemoryController, "cgroup v2 does not hold the memory controller on this machine"))
        func `a worker beyond its memory limit is killed and reported as out of memory`() throws {
            let bench = try WorkerBench(cgroupRoot: testCgroup)
            defer { bench.tearDown() }
            let worker = WorkerRef("greedy", generation: 1)
            try bench.start(worker, "head -c 200000000 /dev/zero | tail") { $0.limits.memoryBytes = 32 << 20 }
            let end = try bench.awaitEnd(worker)
            #expect(end.exit.signal == SIGKILL && end.exit.outOfMemory)
        }

        @Test func `what outlives the main process is killed and counted`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("survivors", generation: 1)
            try bench.start(worker, "sleep 300 & setsid sleep 300 & sleep 0.2; exit 9")
            let end = try bench.awaitEnd(worker)
            #expect(end.exit.status == 9 && end.leftovers == 2)
            #expect(processes(having: "ASTERISM_WORKER=survivors/").isEmpty)
        }

        @Test func `a worker that ignores the stop signal gets SIGKILL, and one that obeys ends by itself`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let deaf = WorkerRef("deaf", generation: 1), polite = WorkerRef("polite", generation: 1)
            try bench.start(deaf, "trap '' TERM; echo up; while :; do sleep 0.05; done")
            try bench.start(polite, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done")
            try #require(bench.drive { bench.host.logBytes(deaf) == 3 && bench.host.logBytes(polite) == 3 })
            for worker in [deaf, polite] { #expect(bench.host.signal(worker, SIGTERM)) }
            #expect(try bench.awaitEnd(polite).exit.isSuccess)
            // Some shells also print that their `sleep` was terminated.
            #expect(bench.logText(polite).hasPrefix("up\n") && bench.logText(polite).hasSuffix("bye\n"))
            bench.drive(for: .milliseconds(300)) { false }
            #expect(bench.host.live == [deaf])
            bench.host.killTree(deaf)
            #expect(try bench.awaitEnd(deaf).exit.signal == SIGKILL)
        }

        @Test func `SIGTERM to a shim is the worker's stop signal, and the shim stays until the end`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("usr1", generation: 1)
            try bench.start(worker, "trap 'sleep 0.2; exit 11' USR1; echo up; while :; do sleep 0.02; done") {
                $0.stop.signal = "USR1"
            }
            try #require(bench.drive { bench.host.logBytes(worker) == 3 })
            kill(try #require(bench.shim(of: worker)), SIGTERM)
            #expect(try bench.awaitEnd(worker).exit.status == 11)
        }

        @Test func `a signal given while the worker starts reaches it`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("early", generation: 1)
            try bench.launch(worker, WorkerSpec(command: ["/bin/sleep", "300"]))
            #expect(bench.host.signal(worker, SIGTERM))
            #expect(try bench.awaitEnd(worker).exit.signal == SIGTERM)
        }

        @Test(.enabled(if: access(freezer, W_OK) == 0, "no writable freezer of cgroup v1 on this machine"))
        func `a worker that cannot be killed is reported stuck, and its end only when it has ended`() throws {
            let bench = try WorkerBench()
            let group = "\(freezer)/asterism-test-\(getpid())"
            try #require(mkdir(group, 0o755) == 0)
            defer {
                put("THAWED", "\(group)/freezer.state")
                bench.tearDown()
                rmdir(group)
            }
            let worker = WorkerRef("frozen", generation: 1)
            let start = try bench.start(worker, "sleep 300 & echo up; sleep 300")
            try #require(bench.drive { bench.host.logBytes(worker) == 3 })
            // Unlike v2's, a freezer of v1 holds even those that are killed, as a driver in trouble would.
            put("\(start.pid)", "\(group)/cgroup.procs")
            put("FROZEN", "\(group)/freezer.state")
            bench.host.killTree(worker)
            try #require(bench.drive(for: .seconds(15)) { bench.stuck(worker) != nil })
            #expect(bench.stuck(worker) == [start.pid] && bench.host.live == [worker])
            bench.stopHost()
            bench.events = []
            try bench.startHost()
            #expect(bench.host.adopt().map(\.state) == [.running(start)])
            put("THAWED", "\(group)/freezer.state")
            #expect(try bench.awaitEnd(worker).exit.signal == SIGKILL)
        }

        @Test func `a tree that forks as fast as it can is killed`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("bomb", generation: 1)
            let script =
                "f() { setsid sh -c 'sleep 0.2; while :; do sleep 0.01 & done' & }; f; f; f; f; echo up; sleep 300"
            try bench.start(worker, script)
            try #require(bench.drive { processes(having: "ASTERISM_WORKER=bomb/").count > 30 })
            bench.host.killTree(worker)
            let end = try bench.awaitEnd(worker, for: .seconds(30))
            #expect(end.exit.signal == SIGKILL && processes(having: "ASTERISM_WORKER=bomb/").isEmpty)
        }
    }
}
