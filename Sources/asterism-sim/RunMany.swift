import Base
import Glibc
import Simulator

/// # Many seeds
///
/// Each seed is a separate run, so child processes share them, a short range at a time. A process that crashes loses one seed
/// and not the rest: that seed counts as a crash, and another process continues after it.
func runMany(_ options: Options) -> Int32 {
    // `validate` has seen that there is one.
    let seeds = options.list!
    if options.report { return runRange(options, seeds) }
    var crew = Crew(options, seeds)
    return crew.run()
}

private struct Crew {
    private struct Child {
        var pid: pid_t
        var descriptor: Int32
        var seeds: ClosedRange<UInt64>
        /// The seed that it is at.
        var current: UInt64
        var text: [UInt8] = []
    }
    private let options: Options
    private var next: UInt64?
    private let last: UInt64
    private var children: [Child] = []
    private var done = 0
    private var failures: [(seed: UInt64, status: Int32)] = []
    private var milliseconds: [Int] = []
    private let start = ContinuousClock.now

    /// Seeds that a process takes at a time.
    private static let share: UInt64 = 8

    init(_ options: Options, _ seeds: ClosedRange<UInt64>) {
        self.options = options
        next = seeds.lowerBound
        last = seeds.upperBound
    }

    mutating func run() -> Int32 {
        while next != nil || !children.isEmpty {
            while children.count < options.jobs, let first = next {
                let end = min(last, first + Crew.share - 1)
                next = end == last ? nil : end + 1
                begin(first...end)
            }
            wait()
        }
        summarise()
        return failures.map(\.status).max { rank($0) < rank($1) } ?? 0
    }

    /// The status reports the worst outcome: a correctness fault, then a crash, then a liveness fault.
    private func rank(_ status: Int32) -> Int { status == 129 ? 3 : status == 127 ? 2 : 1 }

    private mutating func begin(_ seeds: ClosedRange<UInt64>) {
        var arguments = [
            "asterism-sim", "--seeds", "\(seeds.lowerBound)...\(seeds.upperBound)", "--nodes", "\(options.nodes)",
            "--seconds", "\(options.seconds)", "--report",
        ]
        if !options.gateways { arguments.append("--no-gateways") }
        if let mutation = options.mutation { arguments += ["--mutation", mutation] }
        var pipe: [Int32] = [0, 0]
        precondition(Glibc.pipe(&pipe) == 0, "pipe: \(errno)")
        // Other children must not hold this one's end open.
        for end in pipe { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        vector.append(nil)
        var pid: pid_t = 0
        let status = posix_spawn(&pid, "/proc/self/exe", &actions, nil, vector, environ)
        precondition(status == 0, "posix_spawn: \(status)")
        for pointer in vector { free(pointer) }
        posix_spawn_file_actions_destroy(&actions)
        close(pipe[1])
        children.append(Child(pid: pid, descriptor: pipe[0], seeds: seeds, current: seeds.lowerBound))
    }

    private mutating func wait() {
        var polls = children.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        guard poll(&polls, nfds_t(polls.count), -1) > 0 else { return }
        for (index, entry) in polls.enumerated().reversed() where entry.revents != 0 { read(index) }
    }

    private mutating func read(_ index: Int) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = Glibc.read(children[index].descriptor, &buffer, buffer.count)
        guard count > 0 else { return end(index) }
        children[index].text += buffer[..<count]
        while let newline = children[index].text.firstIndex(of: 10) {
            let line = String(decoding: children[index].text[..<newline], as: UTF8.self)
            children[index].text.removeSubrange(...newline)
            take(line, index)
        }
    }

    private mutating func take(_ line: String, _ index: Int) {
        if line.hasPrefix("begin "), let seed = UInt64(line.dropFirst(6)) {
            children[index].current = seed
            return
        }
        done += 1
        let seed = children[index].current
        // After its last seed, so that a clean end is recognised.
        children[index].current = seed + 1
        let status = number("status", in: line)
        milliseconds.append(number("milliseconds", in: line))
        if options.json { printLine(line) }
        guard status != 0 else { return }
        failures.append((seed, Int32(status)))
        if !options.json { printLine("seed \(seed): \(kind(Int32(status)))  \(options.replay(seed))\n  \(line)") }
    }

    /// The value of a number in a line that this program wrote.
    private func number(_ key: String, in line: String) -> Int {
        guard let range = line.firstRange(of: "\"\(key)\":") else { return 0 }
        return Int(line[range.upperBound...].prefix { $0.isNumber }) ?? 0
    }

    /// The process has ended. If it was running a seed, that seed crashed.
    private mutating func end(_ index: Int) {
        let child = children.remove(at: index)
        close(child.descriptor)
        var status: Int32 = 0
        while waitpid(child.pid, &status, 0) < 0, errno == EINTR {}
        guard child.current <= child.seeds.upperBound else { return }
        done += 1
        failures.append((child.current, 127))
        if options.json {
            printLine("{\"seed\":\(child.current),\"nodes\":\(options.nodes),\"status\":127,\"findings\":[]}")
        } else {
            printLine("seed \(child.current): crash  \(options.replay(child.current))")
        }
        if child.current < child.seeds.upperBound { begin(child.current + 1...child.seeds.upperBound) }
    }

    private func kind(_ status: Int32) -> String {
        status == 129 ? "correctness" : status == 128 ? "liveness" : "crash"
    }

    private func summarise() {
        let sorted = milliseconds.sorted()
        let total = (ContinuousClock.now - start).components.seconds
        let middle = sorted.isEmpty ? 0 : sorted[sorted.count / 2], slowest = sorted.last ?? 0
        let text =
            "\(done) seeds of \(options.nodes) nodes in \(total) s with \(options.jobs) jobs; a seed takes "
            + "\(middle) ms (median), \(slowest) ms (slowest); \(failures.count) failed"
        if options.json {
            printLine(text, to: 2)
            return
        }
        for failure in failures.sorted(by: { $0.seed < $1.seed }) {
            printLine("\(kind(failure.status)): \(options.replay(failure.seed))")
        }
        printLine(text)
    }
}
