import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

extension WorkerTests {
    @Suite struct WorkerAdoptionTests {
        @Test func `a new agent adopts the same processes, signals them and learns of their end`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("kept", generation: 4)
            let start = try bench.start(worker, "trap 'exit 42' TERM; echo up; while :; do sleep 0.02; done")
            try #require(bench.drive { bench.host.logBytes(worker) == 3 })
            bench.stopHost()
            bench.events = []
            try bench.startHost()
            let found = bench.host.adopt()
            #expect(found.map(\.worker) == [worker] && found.first?.operation == "op-kept/4")
            #expect(found.first?.state == .running(start))
            #expect(bench.host.adopt().isEmpty)
            #expect(bench.host.signal(worker, SIGTERM))
            #expect(try bench.awaitEnd(worker).exit.status == 42)
            #expect(!bench.host.signal(worker, SIGTERM))
        }

        @Test func `an end without an agent is reported by the next agent, with its true status`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            for number in 1...20 as ClosedRange<UInt64> {
                try bench.start(
                    WorkerRef("away", generation: number),
                    "echo out; while [ ! -e ../../go ]; do sleep 0.02; done; exit \(number)")
            }
            let failing = WorkerRef("away", generation: 99)
            try bench.launch(failing, WorkerSpec(command: ["/nonexistent"]))
            bench.stopHost()
            close(creat("\(bench.state)/workers/away/go", 0o644))
            try #require(bench.drive { processes(having: "ASTERISM_SHIM=away/").isEmpty })
            bench.events = []
            try bench.startHost()
            let found = bench.host.adopt()
            #expect(found.count == 21 && bench.host.live.isEmpty)
            for one in found where one.worker != failing {
                guard case .exited(let end) = one.state else {
                    Issue.record("\(one)")
                    continue
                }
                #expect(end.exit.status == Int32(one.worker.generation) && end.logBytes == 4)
                #expect(bench.host.readLog(one.worker, from: 0, limit: 10).bytes == Array("out\n".utf8))
            }
            guard case .launchFailed(let problem) = found.last?.state else {
                Issue.record("\(found.last as Any)")
                return
            }
            #expect(problem.field == "command")
        }

        @Test func `a worker dies with its shim, is reported lost, and its children die too`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("orphan", generation: 1)
            let start = try bench.start(worker, "setsid sleep 300 & sleep 300 & env -i sleep 300 & echo up; wait")
            try #require(
                bench.drive {
                    bench.host.logBytes(worker) == 3 && processes(having: "ASTERISM_WORKER=orphan/1/").count >= 3
                })
            #expect(family(ofSession: start.pid).count >= 3)
            let shim = try #require(bench.shim(of: worker))
            kill(shim, SIGKILL)
            try #require(bench.drive { bench.isLost(worker) })
            #expect(isDead(start.pid))
            #expect(processes(having: "ASTERISM_WORKER=orphan/1/").isEmpty)
            #expect(family(ofSession: start.pid).allSatisfy(isDead))
            bench.stopHost()
            try bench.startHost()
            let states = bench.host.adopt().map(\.state)
            guard case .lost? = states.first else {
                Issue.record("\(states)")
                return
            }
        }

        @Test func `a shim that was killed without an agent is reported vanished, then lost`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("vanished", generation: 1)
            try bench.start(worker, "setsid sleep 300 & echo up; sleep 300")
            try #require(
                bench.drive {
                    bench.host.logBytes(worker) == 3 && processes(having: "ASTERISM_WORKER=vanished/1/").count >= 3
                })
            bench.stopHost()
            let shim = try #require(bench.shim(of: worker))
            kill(shim, SIGKILL)
            try #require(bench.drive { isDead(shim) })
            try bench.startHost()
            #expect(bench.host.adopt().map(\.state) == [.vanished])
            #expect(!bench.isLost(worker))
            try #require(bench.drive { bench.isLost(worker) })
            #expect(processes(having: "ASTERISM_WORKER=vanished/1/").isEmpty)
        }

        @Test func `an interrupted launch is no launch, and may be repeated`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("cut", generation: 1)
            _ = system("mkdir -p '\(bench.folder(worker))' && printf half > '\(bench.folder(worker))/launch'")
            #expect(bench.host.adopt().map(\.state) == [.neverStarted])
            try bench.start(worker, "exit 5")
            #expect(try bench.awaitEnd(worker).exit.status == 5)
        }

        @Test func `a launch whose shim never started may be repeated, and a late shim does nothing`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            // What an agent leaves that is killed between the launch file and the shim.
            let worker = WorkerRef("unborn", generation: 1), other = WorkerRef("other", generation: 1)
            try bench.start(other, "exit 0")
            _ = try bench.awaitEnd(other)
            _ = system(
                """
                mkdir -p '\(bench.folder(worker))/work' && cp '\(bench.folder(other))/launch' '\(bench.folder(worker))/'
                """)
            let late = open(bench.folder(worker), O_RDONLY | O_DIRECTORY)
            defer { close(late) }
            bench.stopHost()
            try bench.startHost()
            let found = bench.host.adopt().first { $0.worker == worker }
            #expect(found?.state == .neverStarted && found?.operation == "op-other/1")
            #expect(system("'\(WorkerBench.shim)' /proc/\(getpid())/fd/\(late)") != 0)
            try bench.start(worker, "echo ran; exit 5")
            #expect(try bench.awaitEnd(worker).exit.status == 5)
            #expect(bench.logText(worker) == "ran\n")
        }

        @Test func `a second shim for one generation does nothing`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("twice", generation: 1)
            try bench.start(worker, "echo ran; while [ ! -e go ]; do sleep 0.02; done")
            try #require(bench.drive { bench.host.logBytes(worker) == 4 })
            #expect(system("'\(WorkerBench.shim)' '\(bench.folder(worker))'") != 0)
            close(creat(bench.folder(worker) + "/work/go", 0o644))
            _ = try bench.awaitEnd(worker)
            #expect(system("'\(WorkerBench.shim)' '\(bench.folder(worker))'") != 0)
            #expect(bench.logText(worker) == "ran\n")
        }
    }
}

/// Processes of one session (field 6 of /proc/PID/stat; none of these tests' programs has a space in its name).
private func family(ofSession session: Int32) -> [Int32] {
    numbers(in: "/proc").filter {
        let fields = String(decoding: contents("/proc/\($0)/stat"), as: UTF8.self).split(separator: " ")
        return fields.count > 5 && fields[5] == "\(session)"
    }
}
