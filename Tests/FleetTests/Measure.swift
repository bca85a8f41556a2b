import Control
import Foundation
import Testing
import Wire

/// # Figures, when asked for
///
/// `ASTERISM_MEASURE=1 ASTERISM_PROGRAMS=.build/release swift test --filter Measure` prints them; nothing is asserted of
/// absolute times, only that what is timed has happened.
///
/// - *Join*: from just before posix_spawn(3) of an asterismd that has its certificate, to the line in its log that states
///   that the controller has answered a heartbeat; the log is read every 0.2 ms.
/// - *Launch*: from just before `workers.run` is sent to the local socket of the controller, to the time that the worker
///   itself, date(1), reads from the clock; so the starting of date is in it.
/// - *Idle*: VmRSS and RssAnon of proc_pid_status(5), user and system time of proc_pid_stat(5), over a minute with no
///   worker, after ten seconds of rest.
@Suite(
    .serialized,
    .enabled(
        if: ProcessInfo.processInfo.environment["ASTERISM_MEASURE"] == "1",
        "measures for minutes; set ASTERISM_MEASURE=1"))
struct Measure {
    private static func notify(_ what: String, _ seconds: [Double]) {
        let sorted = seconds.sorted()
        func rank(_ part: Double) -> String {
            String(format: "%.1f ms", sorted[min(sorted.count - 1, Int(part * Double(sorted.count)))] * 1000)
        }
        print("\(what), \(sorted.count) runs: p50 \(rank(0.5)), p99 \(rank(0.99)), least \(rank(0)), most \(rank(1))")
    }

    @Test func `join, from the start of an agent to its first accepted heartbeat`() throws {
        try Fleet.with(agents: 1) { fleet in
            let log = fleet.path("agent-1.log")
            var times: [Double] = []
            for _ in 0..<100 {
                try fleet.agent("agent-1").end()
                try FileManager.default.removeItem(atPath: log)
                let begin = monotonicSeconds()
                try fleet.startAgent("agent-1", ["--log-level", "info"])
                let handle = open(log, O_RDONLY | O_CLOEXEC)
                defer { close(handle) }
                var text = Data()
                var chunk = [UInt8](repeating: 0, count: 4096)
                while text.range(of: Data("the controller answers".utf8)) == nil {
                    try #require(monotonicSeconds() - begin < 20, "the controller does not answer")
                    let count = read(handle, &chunk, chunk.count)
                    if count > 0 { text.append(contentsOf: chunk[..<count]) } else { usleep(200) }
                }
                times.append(monotonicSeconds() - begin)
            }
            Self.notify("join", times)
            #expect(times.count == 100)
        }
    }

    @Test func `launch, from the request to the worker's own clock`() throws {
        try Fleet.with(agents: 1) { fleet in
            var times: [Double] = []
            var answers: [Double] = []
            for number in 0..<100 {
                let begin = wallSeconds()
                try fleet.run("w-\(number)", ["/usr/bin/date", "+%s.%N"])
                answers.append(wallSeconds() - begin)
                try fleet.wait(for: "w-\(number)", .succeeded)
                let text = String(decoding: try fleet.log("w-\(number)"), as: UTF8.self)
                let clock = try #require(Double(text.trimmingCharacters(in: .newlines)), "\(text)")
                #expect(clock >= begin)
                times.append(clock - begin)
                usleep(20_000)
            }
            Self.notify("launch", times)
            Self.notify("launch, answer of workers.run", answers)
        }
    }

    @Test func `an idle agent's memory, time and heartbeats`() throws {
        try Fleet.with(agents: 1, isRelayed: true) { fleet in
            let pid = try fleet.agent("agent-1").pid
            sleep(10)
            fleet.relay?.forget()
            let before = try #require(ProcessFacts(pid)).ticks, began = monotonicSeconds()
            sleep(60)
            let after = try #require(ProcessFacts(pid)).ticks, elapsed = monotonicSeconds() - began
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let memory = status.split(separator: "\n").filter { $0.hasPrefix("VmRSS") || $0.hasPrefix("RssAnon") }
            let share = Double(after - before) / Double(sysconf(Int32(_SC_CLK_TCK))) / elapsed * 100
            print("idle agent: \(memory.joined(separator: ", ")), \(String(format: "%.3f", share)) % of a core")
            let up = try #require(fleet.relay).capture.filter(\.isUp).map(\.bytes.count)
            var sizes: [Int: Int] = [:]
            for size in up { sizes[size, default: 0] += 1 }
            print(
                "datagrams up in 60 s, size: count: \(sizes.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" })"
            )
            print("heartbeat: payload \(Heartbeat.size) bytes, smallest datagram \(up.min() ?? 0) bytes")
            #expect(Heartbeat.size <= Limits.heartbeatBytes)
            #expect(up.count >= 59)
        }
    }
}
