package import Base

/// What a shim is to run. The agent has already resolved all that needs a look-up (user names, groups, defaults), so the shim
/// needs neither a name service nor a configuration.
package struct LaunchFile: Hashable, Sendable {
    package var name: String
    package var generation: UInt64
    /// A new random number for each launch, so that no other generation is mistaken for this one.
    package var nonce: UInt64
    /// The command that requested this launch. Only the agent uses it; it is kept here so that it survives the agent.
    package var operation = ""
    /// The program and its arguments. A program without a slash is looked up in `PATH` of `environment`.
    package var arguments: [String]
    /// `NAME=value`, complete: the worker gets nothing else.
    package var environment: [String] = []
    package var workingDirectory: String
    /// `nil` leaves the shim's own user, group and groups.
    package var user: User?
    package var limits: [Limit] = []
    package var logFileBytes: Int64
    package var logFiles: Int64
    package var stopSignal: Int32
    package var oomScoreAdjust: Int32 = 0
    /// A folder of cgroup v2 that only this worker uses; `nil` where there is none.
    package var cgroup: String?
    /// Limits that were requested and that nothing enforces for the worker as a whole; kept for the agent's next run.
    package var unenforced: [String] = []
    /// Where the log continues: the bytes that earlier runs of this generation have written.
    package var logStart: Int64 = 0
    /// Folders above the generation's own whose entries are new and must be made durable: 1 or 2.
    package var newAncestors: UInt8 = 1

    package struct User: Hashable, Sendable {
        package var id: UInt32
        package var group: UInt32
        /// All supplementary groups.
        package var groups: [UInt32]

        package init(id: UInt32, group: UInt32, groups: [UInt32]) {
            self.id = id
            self.group = group
            self.groups = groups
        }
    }

    /// For setrlimit(2), soft and hard alike.
    package struct Limit: Hashable, Sendable {
        package var resource: Int32
        package var value: UInt64

        package init(resource: Int32, value: UInt64) {
            self.resource = resource
            self.value = value
        }
    }

    package init(
        name: String, generation: UInt64, nonce: UInt64, arguments: [String], workingDirectory: String,
        logFileBytes: Int64, logFiles: Int64, stopSignal: Int32
    ) {
        self.name = name
        self.generation = generation
        self.nonce = nonce
        self.arguments = arguments
        self.workingDirectory = workingDirectory
        self.logFileBytes = logFileBytes
        self.logFiles = logFiles
        self.stopSignal = stopSignal
    }

    package var marker: String { WorkerMarker.value(name: name, generation: generation, nonce: nonce) }
}

extension LaunchFile {
    private static let magic: UInt32 = 0x4153_544c  // ASTL
    private static let version: UInt8 = 1
    /// Of one string; twice `WorkerSpec`'s bound on all of them together.
    private static let textBytes = 128 << 10
    private static let items = 4096
    /// More than any valid file has.
    package static let fileBytes = 1 << 20

    package var encoded: [UInt8] {
        var out = ByteWriter(reserving: 1024)
        out.uint32(LaunchFile.magic)
        out.uint8(LaunchFile.version)
        out.text(name)
        out.uint64(generation)
        out.uint64(nonce)
        out.text(operation)
        out.texts(arguments)
        out.texts(environment)
        out.text(workingDirectory)
        out.uint8(user == nil ? 0 : 1)
        if let user {
            out.uint32(user.id)
            out.uint32(user.group)
            out.varint(UInt64(user.groups.count))
            for group in user.groups { out.uint32(group) }
        }
        out.varint(UInt64(limits.count))
        for limit in limits {
            out.uint32(UInt32(bitPattern: limit.resource))
            out.uint64(limit.value)
        }
        out.uint64(UInt64(bitPattern: logFileBytes))
        out.uint64(UInt64(bitPattern: logFiles))
        out.uint32(UInt32(bitPattern: stopSignal))
        out.uint32(UInt32(bitPattern: oomScoreAdjust))
        out.text(cgroup ?? "")
        out.texts(unenforced)
        out.uint8(newAncestors)
        out.uint64(UInt64(bitPattern: logStart))
        return out.bytes
    }

    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        var reader = ByteReader(bytes.span.bytes)
        try reader.expect(magic: LaunchFile.magic, version: LaunchFile.version)
        let name = try reader.text("name", limit: 255)
        let generation = try reader.uint64("generation")
        let nonce = try reader.uint64("nonce")
        let operation = try reader.text("operation", limit: LaunchFile.textBytes)
        let arguments = try reader.texts("arguments")
        guard !arguments.isEmpty else { throw DecodeError(.invalidValue, "arguments", at: reader.offset) }
        let environment = try reader.texts("environment")
        let workingDirectory = try reader.text("workingDirectory", limit: LaunchFile.textBytes)
        let user = try reader.uint8("user") == 0 ? nil : try reader.user()
        var limits: [Limit] = []
        for _ in 0..<(try reader.count("limits", limit: 16)) {
            let resource = Int32(bitPattern: try reader.uint32("limit"))
            limits.append(Limit(resource: resource, value: try reader.uint64("limit")))
        }
        let logFileBytes = Int64(bitPattern: try reader.uint64("logFileBytes"))
        let logFiles = Int64(bitPattern: try reader.uint64("logFiles"))
        guard logFileBytes > 0, logFiles > 0 else { throw DecodeError(.invalidValue, "log", at: reader.offset) }
        self.init(
            name: name, generation: generation, nonce: nonce, arguments: arguments,
            workingDirectory: workingDirectory, logFileBytes: logFileBytes, logFiles: logFiles,
            stopSignal: Int32(bitPattern: try reader.uint32("stopSignal")))
        self.operation = operation
        self.environment = environment
        self.user = user
        self.limits = limits
        oomScoreAdjust = Int32(bitPattern: try reader.uint32("oomScoreAdjust"))
        let cgroup = try reader.text("cgroup", limit: LaunchFile.textBytes)
        self.cgroup = cgroup.isEmpty ? nil : cgroup
        unenforced = try reader.texts("unenforced")
        newAncestors = try reader.uint8("newAncestors")
        logStart = Int64(bitPattern: try reader.uint64("logStart"))
        guard logStart >= 0 else { throw DecodeError(.invalidValue, "logStart", at: reader.offset) }
        try reader.expectEnd("launch")
    }

    fileprivate static func checked(_ count: UInt64, _ limit: Int, _ field: String, at offset: Int) throws(DecodeError)
        -> Int
    {
        guard count <= UInt64(limit) else { throw DecodeError(.tooLong, field, at: offset) }
        return Int(count)
    }
    fileprivate static var itemLimit: Int { items }
    fileprivate static var textLimit: Int { textBytes }
}

extension ByteWriter {
    fileprivate mutating func texts(_ texts: [String]) {
        varint(UInt64(texts.count))
        for item in texts { text(item) }
    }
}

extension ByteReader {
    fileprivate mutating func count(_ field: String, limit: Int) throws(DecodeError) -> Int {
        let start = offset
        return try LaunchFile.checked(try varint(field), limit, field, at: start)
    }
    fileprivate mutating func texts(_ field: String) throws(DecodeError) -> [String] {
        var texts: [String] = []
        for _ in 0..<(try count(field, limit: LaunchFile.itemLimit)) {
            texts.append(try text(field, limit: LaunchFile.textLimit))
        }
        return texts
    }
    fileprivate mutating func user() throws(DecodeError) -> LaunchFile.User {
        let id = try uint32("user"), group = try uint32("group")
        var groups: [UInt32] = []
        for _ in 0..<(try count("groups", limit: 65_536)) { groups.append(try uint32("groups")) }
        return LaunchFile.User(id: id, group: group, groups: groups)
    }
    mutating func expect(magic: UInt32, version: UInt8) throws(DecodeError) {
        guard try uint32("magic") == magic else { throw DecodeError(.invalidValue, "magic", at: 0) }
        guard try uint8("version") == version else { throw DecodeError(.invalidValue, "version", at: 4) }
    }
}
