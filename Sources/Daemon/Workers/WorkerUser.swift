import Glibc
package import ShimProtocol
package import Wire

/// The user that a worker runs as, looked up in the node's user database.
package struct WorkerUser: Hashable, Sendable {
    package private(set) var id: UInt32
    package private(set) var group: UInt32
    package private(set) var groups: [UInt32]
    package private(set) var home: String?
    /// Whether this is not simply the agent's own user.
    package private(set) var isOther: Bool

    package var launchUser: LaunchFile.User? {
        isOther ? LaunchFile.User(id: id, group: group, groups: groups) : nil
    }

    /// The user and group of a specification. Only root may change to another user.
    package init(_ spec: WorkerSpec) throws(SpecProblem) {
        let own = geteuid(), ownGroup = getegid()
        let entry: PasswordEntry?
        switch try spec.user.map({ text throws(SpecProblem) in try WorkerUser.account(text, "user") }) {
        case .number(let number)?:
            entry = PasswordEntry(id: number)
            id = number
        case .name(let name)?:
            entry = PasswordEntry(named: name)
            guard let entry else { throw SpecProblem("user", "this node has no user '\(name)'") }
            id = entry.id
        case nil:
            entry = PasswordEntry(id: own)
            id = own
        }
        if let text = spec.group {
            switch try WorkerUser.account(text, "group") {
            case .number(let number): group = number
            case .name(let name):
                guard let number = WorkerUser.group(named: name) else {
                    throw SpecProblem("group", "this node has no group '\(name)'")
                }
                group = number
            }
        } else if spec.user == nil {
            group = ownGroup
        } else if let entry {
            group = entry.group
        } else {
            throw SpecProblem("group", "is needed, since user \(id) has no entry in this node's user database")
        }
        // A user database may hold anything.
        guard id <= AccountName.largest else { throw SpecProblem("user", "has the number \(id), which no user has") }
        guard group <= AccountName.largest else {
            throw SpecProblem("group", "has the number \(group), which no group has")
        }
        home = entry?.home
        isOther = id != own || group != ownGroup
        let chosen = group
        groups = entry.map { WorkerUser.groups(of: $0.name, and: chosen) } ?? [chosen]
        guard isOther, own != 0 else { return }
        if id != own {
            throw SpecProblem("user", "only an agent of root may run workers as another user than its own (\(own))")
        }
        throw SpecProblem("group", "only an agent of root may run workers in another group than its own (\(ownGroup))")
    }

    private static func account(_ text: String, _ field: String) throws(SpecProblem) -> AccountName {
        if let problem = AccountName.problem(text, field) { throw problem }
        // There is no problem, so it is one.
        return AccountName(text)!
    }

    private static func group(named name: String) -> UInt32? {
        withScratch { buffer in
            var entry = Glibc.group()
            var found: UnsafeMutablePointer<Glibc.group>?
            let status = getgrnam_r(name, &entry, buffer.baseAddress!, buffer.count, &found)
            return status == ERANGE ? .tooSmall : .found(found.map { $0.pointee.gr_gid })
        }
    }

    private static func groups(of name: String, and group: UInt32) -> [UInt32] {
        // NGROUPS_MAX (limits.h).
        var count: Int32 = 65_536
        return [UInt32](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            let status = getgrouplist(name, group, buffer.baseAddress!, &count)
            initialized = status < 0 ? 0 : Int(count)
        }
    }
}

private struct PasswordEntry {
    private(set) var name: String
    private(set) var id: UInt32
    private(set) var group: UInt32
    private(set) var home: String

    init?(named name: String) { self.init { getpwnam_r(name, $0, $1, $2, $3) } }
    init?(id: UInt32) { self.init { getpwuid_r(id, $0, $1, $2, $3) } }

    private typealias Result = UnsafeMutablePointer<passwd>?
    private init?(
        _ lookUp: (UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<Result>) ->
            Int32
    ) {
        let entry: PasswordEntry? = withScratch { buffer in
            var entry = passwd()
            var found: UnsafeMutablePointer<passwd>?
            let status = lookUp(&entry, buffer.baseAddress!, buffer.count, &found)
            return status == ERANGE ? .tooSmall : .found(found.map { PasswordEntry($0.pointee) })
        }
        guard let entry else { return nil }
        self = entry
    }

    private init(_ entry: passwd) {
        name = String(cString: entry.pw_name)
        id = entry.pw_uid
        group = entry.pw_gid
        home = String(cString: entry.pw_dir)
    }
}

private enum LookUp<Value> {
    case tooSmall
    case found(Value?)
}

/// Calls with larger and larger buffers, up to a megabyte, as getpwnam_r(3) and similar functions need it.
private func withScratch<Value>(_ body: (UnsafeMutableBufferPointer<CChar>) -> LookUp<Value>) -> Value? {
    var size = 4096
    while size <= 1 << 20 {
        let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: size)
        defer { buffer.deallocate() }
        switch body(buffer) {
        case .found(let value): return value
        case .tooSmall: size *= 4
        }
    }
    return nil
}
