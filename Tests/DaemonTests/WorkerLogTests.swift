import Base
import Daemon
import EventLoop
import Glibc
import ShimProtocol
import Testing
import Wire

extension WorkerTests {
    @Suite struct WorkerLogTests {
        @Test func `a log is exact across its files, from every offset and in pieces of every size`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("log", generation: 1)
            try bench.start(
                worker,
                "i=0; while [ $i -lt 5000 ]; do echo line $i; [ $((i % 7)) = 0 ] && echo err $i >&2; i=$((i+1)); done"
            ) {
                $0.log.maxFileBytes = 4096
                $0.log.maxFiles = 100
            }
            let end = try bench.awaitEnd(worker)
            var expected = ""
            for number in 0..<5000 { expected += "line \(number)\n" + (number % 7 == 0 ? "err \(number)\n" : "") }
            let bytes = Array(expected.utf8)
            #expect(bench.log(worker) == bytes)
            #expect(
                end.logBytes == Int64(bytes.count) && end.logBytesDropped == 0
                    && bench.host.logBytes(worker) == end.logBytes)
            for (offset, pieces) in [
                (1, 1000), (4095, 1), (4096, 4096), (4097, 5000), (bytes.count - 3, 7), (9000, 65_536),
            ] {
                let from = offset == 4095 ? bytes.count - 5000 : offset
                #expect(bench.log(worker, from: Int64(from), pieces: pieces) == Array(bytes[from...]))
            }
            let tail = bench.host.readLog(worker, from: -10, limit: 100)
            #expect(tail.bytes == Array(bytes.suffix(10)) && tail.isFinal && tail.offset == Int64(bytes.count - 10))
        }

        @Test func `old files are deleted, and an offset inside them moves to what is left`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("rotated", generation: 1)
            try bench.start(worker, "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done") {
                $0.log.maxFileBytes = 4096
                $0.log.maxFiles = 3
            }
            let end = try bench.awaitEnd(worker)
            let expected = Array((0..<3000).map { "line \($0)\n" }.joined().utf8)
            #expect(end.logBytes == Int64(expected.count))
            let first = bench.host.readLog(worker, from: 0, limit: 1 << 20)
            #expect(first.offset > 0 && first.offset % 4096 == 0 && first.isFinal)
            #expect(first.bytes == Array(expected[Int(first.offset)...]))
            #expect(first.bytes.count <= 3 * 4096 && first.bytes.count > 2 * 4096)
        }

        @Test func `a log can be followed while it grows, and is final only when the worker has ended`() throws {
            let bench = try WorkerBench()
            defer { bench.tearDown() }
            let worker = WorkerRef("followed", generation: 1)
            try bench.start(worker, "echo one; while [ ! -e go ]; do sleep 0.02; done; printf two")
            try #require(bench.drive { bench.host.logBytes(worker) == 4 })
            let first = bench.host.readLog(worker, from: 0, limit: 100)
            #expect(first.bytes == Array("one\n".utf8) && !first.isFinal && first.nextOffset == 4)
            close(creat(bench.folder(worker) + "/work/go", 0o644))
            _ = try bench.awaitEnd(worker)
            let second = bench.host.readLog(worker, from: first.nextOffset, limit: 100)
            #expect(second.bytes == Array("two".utf8) && second.isFinal)
        }

        @Test(.enabled(if: geteuid() == 0, "only root may mount a small disk"))
        func `a full disk stops neither the worker nor its exit record, and lost bytes are counted`() throws {
            let disk = WorkerBench.folder()
            try #require(system("mount -t tmpfs -o size=256k none '\(disk)'") == 0)
            defer { _ = system("umount '\(disk)'; rmdir '\(disk)'") }
            let ballast = try FileDescriptor.open("\(disk)/ballast", O_WRONLY | O_CREAT)
            try ballast.writeAll(repeatElement(0, count: 100 << 10))
            let bench = try WorkerBench(state: "\(disk)/state")
            defer { bench.tearDown() }
            let worker = WorkerRef("full", generation: 1)
            let go = "/tmp/asterism-go-\(getpid())"
            defer { unlink(go) }
            let script =
                "head -c 400000 /dev/zero | tr '\\0' x; while [ ! -e \(go) ]; do sleep 0.02; done; echo; echo after"
            try bench.start(worker, script)
            try #require(bench.drive { bench.host.logBytes(worker) > 60_000 })
            // Until the pump has met the full disk and emptied the pipe.
            bench.drive(for: .milliseconds(300)) { false }
            unlink("\(disk)/ballast")
            try ballast.close()
            close(creat(go, 0o644))
            let end = try bench.awaitEnd(worker)
            #expect(end.exit.isSuccess && end.logBytesDropped > 100_000)
            let text = String(decoding: bench.log(worker).suffix(200), as: UTF8.self)
            #expect(
                text.contains(
                    "[asterism: \(end.logBytesDropped) bytes of this log were lost: No space left on device]\n"))
            #expect(text.hasSuffix("after\n"))
            let kept = bench.log(worker).count
            #expect(Int64(kept) == end.logBytes)
        }

        @Test func `what was written survives being read, and nonsense does not`() throws {
            var launch = LaunchFile(
                name: "w", generation: 3, nonce: 5, arguments: ["a", "b\n"], workingDirectory: "/", logFileBytes: 4096,
                logFiles: 2, stopSignal: 15)
            launch.user = LaunchFile.User(id: 1, group: 2, groups: [3, 4])
            launch.environment = ["A=é"]
            launch.limits = [LaunchFile.Limit(resource: 7, value: 9)]
            launch.cgroup = "/sys/fs/cgroup/x"
            launch.oomScoreAdjust = -5
            launch.unenforced = ["limits.cpu"]
            #expect(try LaunchFile(decoding: launch.encoded) == launch)
            for length in 0..<launch.encoded.count {
                #expect(throws: DecodeError.self) { try LaunchFile(decoding: Array(launch.encoded[..<length])) }
            }
            var record = ExitRecord(nonce: 5, outcome: .launchFailed(.user, errno: 1), at: UnixTime(milliseconds: 7))
            record.leftovers = 3
            record.logBytes = 1 << 40
            let started = StartedRecord(
                nonce: 1, bootID: "b", shimPID: 2, shimStart: 3, workerPID: 4, workerStart: 5,
                at: UnixTime(milliseconds: 6))
            let stuck = StuckRecord(nonce: 9, processes: [1, 2])
            for report in [ShimReport.ended(record), .started(started), .stuck(stuck)] {
                #expect(try ShimReport(decoding: report.encoded) == report)
                for length in 0..<report.encoded.count {
                    #expect(throws: DecodeError.self) { try ShimReport(decoding: Array(report.encoded[..<length])) }
                }
            }
            #expect(GenerationDirectory.logOffset(of: GenerationDirectory.logName(at: 4096)) == 4096)
            #expect(GenerationDirectory.logOffset(of: "log.1") == nil)
        }
    }
}
