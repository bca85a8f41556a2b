package import Base
import Glibc
package import Wire

/// # The machine, once a second
///
/// Everything comes from small kernel files, read into one buffer that is kept. A file that is missing, unreadable or
/// malformed makes its own values `nil` and no others: containers, LXC guests and old kernels each lack some files. Processor
/// use is a difference, so the first sample has none. Facts that do not change while a machine runs are read again once a
/// minute, and the mount table every `disksEvery`, since it is the one file whose size grows with the number of containers.
///
/// Under LXC /proc/stat and /proc/meminfo are FUSE files of lxcfs and describe the guest, not its host.
package struct HostProbe {
    /// The root of the machine's files: `/`, a host's root mounted into a pod, or a folder of recorded files.
    private let root: String
    private let disksEvery: Interval
    private var buffer = FileBuffer()
    private var previous: ProcessorTimes?
    private var facts = HostStatus()
    private var factsReadAt: Instant?
    private var disks: [DiskStatus] = []
    private var disksReadAt: Instant?
    private let paths: Paths

    private struct Paths {
        var stat, loadAverage, memory, uptime, hostname, mounts: String
        var pressure: [(PressureStatus.Resource, String)]
    }

    package init(root: String = "/", disksEvery: Interval = .seconds(10)) {
        var root = root
        while root.hasSuffix("/") { root.removeLast() }
        self.root = root
        self.disksEvery = disksEvery
        paths = Paths(
            stat: root + "/proc/stat", loadAverage: root + "/proc/loadavg", memory: root + "/proc/meminfo",
            uptime: root + "/proc/uptime", hostname: root + "/proc/sys/kernel/hostname",
            mounts: root + "/proc/self/mountinfo",
            pressure: PressureStatus.Resource.allCases.map { ($0, "\(root)/proc/pressure/\($0.rawValue)") })
    }

    package mutating func sample(now: Instant) -> HostStatus {
        if factsReadAt.map({ now - $0 >= .minutes(1) }) ?? true {
            readFacts()
            factsReadAt = now
        }
        if disksReadAt.map({ now - $0 >= disksEvery }) ?? true {
            readDisks()
            disksReadAt = now
        }
        var status = facts
        status.hostname = buffer.line(of: paths.hostname)
        readProcessors(into: &status)
        readLoad(into: &status)
        readMemory(into: &status)
        if buffer.read(paths.uptime, limit: 4096) {
            var cursor = buffer.cursor
            // Hundredths are dropped, not rounded: an uptime of 0.99 s is not a second.
            if cursor.nextLine() { status.uptimeSeconds = cursor.number(power: 2).map { $0 / 100 } }
        }
        for (resource, path) in paths.pressure where buffer.read(path, limit: 4096) {
            if let pressure = PressureStatus(resource, reading: buffer.cursor) { status.pressure.append(pressure) }
        }
        status.disks = disks
        return status
    }

    private mutating func readFacts() {
        facts.kernel = buffer.line(of: root + "/proc/sys/kernel/osrelease")
        facts.bootID = buffer.line(of: root + "/proc/sys/kernel/random/boot_id")
        // Since Linux 6.1; before, only the running kernel can be asked.
        facts.architecture = buffer.line(of: root + "/proc/sys/kernel/arch") ?? (root.isEmpty ? machine() : nil)
        facts.processorModel = readProcessorModel()
    }

    private mutating func readProcessorModel() -> String? {
        guard buffer.read(root + "/proc/cpuinfo", limit: 64 << 10) else { return nil }
        var cursor = buffer.cursor
        while cursor.nextLine() {
            guard let word = cursor.word() else { continue }
            // x86 and LoongArch: "model name" or "Model Name"; POWER: "cpu"; MIPS: "cpu model"; RISC-V: "uarch".
            let isNamed = cursor.matches(word, "model") || cursor.matches(word, "Model") || cursor.matches(word, "cpu")
            guard isNamed || cursor.matches(word, "uarch") else { continue }
            let rest = cursor.remainder()
            guard let colon = cursor.bytes[rest].firstIndex(of: UInt8(ascii: ":")) else { continue }
            let key = cursor.text(rest.lowerBound..<colon).filter { $0 != " " && $0 != "\t" }.lowercased()
            let value = cursor.text(colon + 1..<rest.upperBound).drop { $0 == " " || $0 == "\t" }
            let isModel = key == "name" || key == "model" || (key.isEmpty && !cursor.starts(word, "model"))
            if isModel, !value.isEmpty, value.contains(where: \.isLetter) { return String(value) }
        }
        return nil
    }

    private func machine() -> String? {
        var names = utsname()
        guard uname(&names) == 0 else { return nil }
        return withUnsafeBytes(of: names.machine) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private mutating func readProcessors(into status: inout HostStatus) {
        guard buffer.read(paths.stat, limit: 1 << 20) else {
            previous = nil
            return
        }
        var cursor = buffer.cursor
        var processors: Int64 = 0
        var times: ProcessorTimes?
        while cursor.nextLine(), let word = cursor.word(), cursor.starts(word, "cpu") {
            if word.count == 3 { times = ProcessorTimes(&cursor) } else { processors += 1 }
        }
        if processors > 0 { status.processors = processors }
        status.processorUsePermille = times.flatMap { times in previous.flatMap { times.usePermille(since: $0) } }
        previous = times
    }

    private mutating func readLoad(into status: inout HostStatus) {
        guard buffer.read(paths.loadAverage, limit: 4096) else { return }
        var cursor = buffer.cursor
        guard cursor.nextLine() else { return }
        status.load1Centi = cursor.number(power: 2)
        status.load5Centi = cursor.number(power: 2)
        status.load15Centi = cursor.number(power: 2)
    }

    private mutating func readMemory(into status: inout HostStatus) {
        guard buffer.read(paths.memory, limit: 64 << 10) else { return }
        var cursor = buffer.cursor
        while cursor.nextLine() {
            guard let key = cursor.word(), let kibibytes = cursor.number() else { continue }
            let (bytes, overflow) = kibibytes.multipliedReportingOverflow(by: 1024)
            guard !overflow, bytes >= 0 else { continue }
            if cursor.matches(key, "MemTotal:") { status.memoryTotalBytes = bytes }
            if cursor.matches(key, "MemAvailable:") { status.memoryAvailableBytes = bytes }
            if cursor.matches(key, "SwapTotal:") { status.swapTotalBytes = bytes }
            if cursor.matches(key, "SwapFree:") { status.swapFreeBytes = bytes }
        }
    }

    private mutating func readDisks() {
        disks.removeAll(keepingCapacity: true)
        guard buffer.read(paths.mounts) else { return }
        for disk in MountTable(buffer.cursor).disks {
            var status = disk.status
            var answer = statvfs()
            if disk.isReachable, statvfs(root + status.mountPoint, &answer) == 0 {
                status.sizeBytes = bytes(UInt64(answer.f_blocks), UInt64(answer.f_frsize))
                status.availableBytes = bytes(UInt64(answer.f_bavail), UInt64(answer.f_frsize))
            }
            disks.append(status)
        }
    }

    private func bytes(_ blocks: UInt64, _ size: UInt64) -> Int64? {
        let (product, overflow) = blocks.multipliedReportingOverflow(by: size)
        return overflow ? nil : Int64(exactly: product)
    }
}

/// The `cpu` line of /proc/stat, in ticks: user nice system idle iowait irq softirq steal. Guest time follows, but is
/// counted in user already (proc_stat(5)).
private struct ProcessorTimes {
    var fields: InlineArray<8, Int64>

    /// `nil` unless the four fields that every kernel has are there.
    init?(_ cursor: inout TextCursor) {
        fields = InlineArray(repeating: 0)
        for index in 0..<8 {
            guard let ticks = cursor.number(), ticks >= 0 else {
                if index < 4 { return nil }
                break
            }
            fields[index] = ticks
        }
    }

    /// `nil` where no tick has passed. Idle time and iowait sometimes run backwards; that counts as no time.
    func usePermille(since earlier: ProcessorTimes) -> Int64? {
        var total: Int64 = 0
        var idle: Int64 = 0
        for index in 0..<8 {
            let passed = min(max(0, fields[index] - earlier.fields[index]), 1 << 50)
            total += passed
            if index == 3 || index == 4 { idle += passed }
        }
        return total > 0 ? (total - idle) * 1000 / total : nil
    }
}

extension PressureStatus {
    /// Reads `some avg10=0.10 avg60=2.00 avg300=3.85 total=15` and the `full` line; irq has only the latter. `nil` where
    /// neither is there.
    fileprivate init?(_ resource: Resource, reading cursor: consuming TextCursor) {
        self.init(resource)
        var isEmpty = true
        while cursor.nextLine() {
            guard let kind = cursor.word() else { continue }
            let isSome = cursor.matches(kind, "some")
            guard isSome || cursor.matches(kind, "full") else { continue }
            isEmpty = false
            while let word = cursor.word() {
                func value(after key: StaticString, power: Int) -> Int64? {
                    guard cursor.starts(word, key) else { return nil }
                    return cursor.number(in: word.dropFirst(key.utf8CodeUnitCount), power: power)
                }
                if let share = value(after: "avg10=", power: 2) {
                    if isSome { some10Basis = share } else { full10Basis = share }
                } else if let share = value(after: "avg60=", power: 2) {
                    if isSome { some60Basis = share } else { full60Basis = share }
                } else if let total = value(after: "total=", power: 0) {
                    if isSome { someTotalMicroseconds = total } else { fullTotalMicroseconds = total }
                }
            }
        }
        if isEmpty { return nil }
    }
}
