package import Base

/// What a shim has to report. Each of these is a file of the generation's folder, and a frame (a 32-bit length, then the same
/// bytes) on the pipe that the shim's standard output is while the agent that launched it lives.
package enum ShimReport: Hashable, Sendable {
    case started(StartedRecord)
    case stuck(StuckRecord)
    case ended(ExitRecord)
}

/// The worker executes its program.
package struct StartedRecord: Hashable, Sendable {
    package var nonce: UInt64
    /// `/proc/sys/kernel/random/boot_id`; process numbers of another boot mean nothing.
    package var bootID: String
    package var shimPID: Int32
    /// Field 22 of /proc/PID/stat: clock ticks since the boot.
    package var shimStart: UInt64
    package var workerPID: Int32
    package var workerStart: UInt64
    package var at: UnixTime

    package init(
        nonce: UInt64, bootID: String, shimPID: Int32, shimStart: UInt64, workerPID: Int32, workerStart: UInt64,
        at: UnixTime
    ) {
        self.nonce = nonce
        self.bootID = bootID
        self.shimPID = shimPID
        self.shimStart = shimStart
        self.workerPID = workerPID
        self.workerStart = workerStart
        self.at = at
    }
}

/// SIGKILL was sent a while ago, and these processes are still there: they are in uninterruptible sleep in the kernel.
package struct StuckRecord: Hashable, Sendable {
    package var nonce: UInt64
    /// At most 64 of them.
    package var processes: [Int32]

    package init(nonce: UInt64, processes: [Int32]) {
        self.nonce = nonce
        self.processes = Array(processes.prefix(64))
    }
}

/// No process of the generation is left, and this is how its main one ended.
package struct ExitRecord: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        case exited(status: Int32)
        case signalled(Int32)
        /// The program never ran: the step of its preparation that failed, and errno.
        case launchFailed(LaunchStep, errno: Int32)
        /// Its shim was killed; how the worker ended is not known.
        case lost
    }
    package var nonce: UInt64
    package var outcome: Outcome
    /// The kernel's OOM killer ended a process in the worker's cgroup.
    package var outOfMemory = false
    package var at: UnixTime
    /// Processes that outlived the main one and were killed.
    package var leftovers: Int32 = 0
    package var logBytes: Int64 = 0
    /// Bytes that could not be written to the disk.
    package var logBytesDropped: Int64 = 0

    package init(nonce: UInt64, outcome: Outcome, at: UnixTime) {
        self.nonce = nonce
        self.outcome = outcome
        self.at = at
    }
}

/// Where a launch can fail, in the order of the steps.
package enum LaunchStep: UInt8, Hashable, Sendable, CaseIterable {
    /// The shim itself could not be started.
    case shim = 1
    case launchFile, durability, output, process, cgroup, session, limits, groups, group, user, workingDirectory
    case parentDeath, execute

    /// The field of the specification that caused the failure, if one did.
    package var field: String {
        switch self {
        case .shim, .launchFile, .durability, .output, .process, .session, .parentDeath: "worker"
        case .cgroup, .limits: "limits"
        case .groups, .group: "group"
        case .user: "user"
        case .workingDirectory: "workingDirectory"
        case .execute: "command"
        }
    }

    package var description: String {
        switch self {
        case .shim: "starting the shim"
        case .launchFile: "reading the launch file"
        case .durability: "making the launch durable"
        case .output: "opening the worker's output"
        case .process: "creating the process"
        case .cgroup: "entering the cgroup"
        case .session: "opening a session"
        case .limits: "setting resource limits"
        case .groups: "setting supplementary groups"
        case .group: "setting the group"
        case .user: "setting the user"
        case .workingDirectory: "entering the working directory"
        case .parentDeath: "tying the worker to its shim"
        case .execute: "executing the program"
        }
    }
}

extension ShimReport {
    private static let startedMagic: UInt32 = 0x4153_5453  // ASTS
    private static let stuckMagic: UInt32 = 0x4153_544b  // ASTK
    private static let exitMagic: UInt32 = 0x4153_5458  // ASTX
    private static let version: UInt8 = 1
    /// More than any report has.
    package static let bytes = 4096

    package var nonce: UInt64 {
        switch self {
        case .started(let record): record.nonce
        case .stuck(let record): record.nonce
        case .ended(let record): record.nonce
        }
    }

    package var encoded: [UInt8] {
        var out = ByteWriter(reserving: 128)
        switch self {
        case .started(let record):
            out.begin(ShimReport.startedMagic, record.nonce)
            out.text(record.bootID)
            out.uint32(UInt32(bitPattern: record.shimPID))
            out.uint64(record.shimStart)
            out.uint32(UInt32(bitPattern: record.workerPID))
            out.uint64(record.workerStart)
            out.uint64(UInt64(bitPattern: record.at.milliseconds))
        case .stuck(let record):
            out.begin(ShimReport.stuckMagic, record.nonce)
            out.uint8(UInt8(record.processes.count))
            for process in record.processes { out.uint32(UInt32(bitPattern: process)) }
        case .ended(let record):
            out.begin(ShimReport.exitMagic, record.nonce)
            out.outcome(record.outcome)
            out.uint8(record.outOfMemory ? 1 : 0)
            out.uint64(UInt64(bitPattern: record.at.milliseconds))
            out.uint32(UInt32(bitPattern: record.leftovers))
            out.uint64(UInt64(bitPattern: record.logBytes))
            out.uint64(UInt64(bitPattern: record.logBytesDropped))
        }
        return out.bytes
    }

    package var frame: [UInt8] {
        let bytes = encoded
        var out = ByteWriter(reserving: bytes.count + 4)
        out.uint32(UInt32(bytes.count))
        out.append(bytes)
        return out.bytes
    }

    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        var reader = ByteReader(bytes.span.bytes)
        let magic = try reader.uint32("magic")
        guard try reader.uint8("version") == ShimReport.version else {
            throw DecodeError(.invalidValue, "version", at: 4)
        }
        let nonce = try reader.uint64("nonce")
        switch magic {
        case ShimReport.startedMagic: self = .started(try StartedRecord(nonce, reading: &reader))
        case ShimReport.stuckMagic:
            var processes: [Int32] = []
            for _ in 0..<(try reader.uint8("processes")) {
                processes.append(Int32(bitPattern: try reader.uint32("processes")))
            }
            self = .stuck(StuckRecord(nonce: nonce, processes: processes))
        case ShimReport.exitMagic: self = .ended(try ExitRecord(nonce, reading: &reader))
        default: throw DecodeError(.invalidValue, "magic", at: 0)
        }
        try reader.expectEnd("report")
    }
}

extension StartedRecord {
    fileprivate init(_ nonce: UInt64, reading reader: inout ByteReader) throws(DecodeError) {
        self.init(
            nonce: nonce, bootID: try reader.text("bootID", limit: 64),
            shimPID: Int32(bitPattern: try reader.uint32("shimPID")), shimStart: try reader.uint64("shimStart"),
            workerPID: Int32(bitPattern: try reader.uint32("workerPID")),
            workerStart: try reader.uint64("workerStart"),
            at: UnixTime(milliseconds: Int64(bitPattern: try reader.uint64("at"))))
    }
}

extension ExitRecord {
    fileprivate init(_ nonce: UInt64, reading reader: inout ByteReader) throws(DecodeError) {
        let outcome = try reader.outcome()
        let outOfMemory = try reader.uint8("outOfMemory") != 0
        self.init(
            nonce: nonce, outcome: outcome,
            at: UnixTime(milliseconds: Int64(bitPattern: try reader.uint64("at"))))
        self.outOfMemory = outOfMemory
        leftovers = Int32(bitPattern: try reader.uint32("leftovers"))
        logBytes = Int64(bitPattern: try reader.uint64("logBytes"))
        logBytesDropped = Int64(bitPattern: try reader.uint64("logBytesDropped"))
    }
}

extension ByteWriter {
    fileprivate mutating func begin(_ magic: UInt32, _ nonce: UInt64) {
        uint32(magic)
        uint8(1)
        uint64(nonce)
    }
    fileprivate mutating func outcome(_ outcome: ExitRecord.Outcome) {
        let (kind, step, value): (UInt8, UInt8, Int32) =
            switch outcome {
            case .exited(let status): (0, 0, status)
            case .signalled(let signal): (1, 0, signal)
            case .launchFailed(let step, let errno): (2, step.rawValue, errno)
            case .lost: (3, 0, 0)
            }
        uint8(kind)
        uint8(step)
        uint32(UInt32(bitPattern: value))
    }
}

extension ByteReader {
    fileprivate mutating func outcome() throws(DecodeError) -> ExitRecord.Outcome {
        let start = offset
        let kind = try uint8("outcome"), step = try uint8("step")
        let value = Int32(bitPattern: try uint32("value"))
        switch (kind, LaunchStep(rawValue: step)) {
        case (0, nil): return .exited(status: value)
        case (1, nil): return .signalled(value)
        case (2, let step?): return .launchFailed(step, errno: value)
        case (3, nil): return .lost
        default: throw DecodeError(.invalidValue, "outcome", at: start)
        }
    }
}
