import Foundation
import Testing

/// The laws of the architecture, as tests. A law that has an exception states which and why.
@Suite struct TidyTests {
    static let pure = ["Base", "FastAES", "Noise", "Wire", "Mesh", "Control"]

    /// Which targets of ours and of others each target may import. What is not here may import nothing.
    static let arrows: [String: Set<String>] = {
        let collections: Set<String> = ["DequeModule", "HeapModule", "OrderedCollections"]
        let pureAll: Set<String> = ["Base", "Wire", "Noise", "Mesh", "Control"]
        let shell = pureAll.union([
            "EventLoop", "Platform", "Health", "Daemon", "Glibc", "FoundationEssentials", "Logging",
        ])
        return [
            "Base": collections,
            "FastAES": ["CFastAES"],
            "Noise": ["Base", "FastAES", "CSodium", "Synchronization"],
            "Wire": ["Base", "SwiftProtobuf"],
            // Locks and atomics, for data planes of several threads that share keys.
            "Mesh": collections.union(["Base", "Wire", "Noise", "Synchronization"]),
            "Control": collections.union(["Base", "Wire", "Noise", "Mesh"]),
            "Platform": ["Base", "Glibc"],
            "EventLoop": ["Base", "Platform", "CLibuv", "CLinux", "Glibc", "Synchronization"],
            "Health": ["Base", "Wire", "CLinux", "Glibc"],
            "ShimProtocol": ["Base"],
            "Daemon": shell.union(["ShimProtocol", "CLinux", "Synchronization"]).subtracting(["Daemon"]),
            "YAML": ["Base", "CLibyaml"],
            "Configuration": [
                "Base", "Control", "EventLoop", "Daemon", "YAML", "ArgumentParser", "Glibc", "Logging",
            ],
            "ControllerService": shell.union(["GRDB", "CMicrohttpd"]),
            "Simulator": pureAll.union(collections),
            "Fuzz": pureAll.union(collections),
            "asterismd": shell.union(["ArgumentParser", "Configuration"]),
            "asterism-controller": shell.union(["ControllerService", "ArgumentParser", "Configuration"]),
            "asterism-shim": ["Base", "CLinux", "Platform", "ShimProtocol", "Glibc"],
            "asterism": [
                "Base", "Wire", "Control", "Platform", "Glibc", "Foundation", "Synchronization", "ArgumentParser",
                "YAML",
            ],
            "asterism-bench": ["Base", "CLinux", "Wire", "Noise", "Mesh", "ArgumentParser"],
            "asterism-fuzz": ["Base", "Fuzz", "ArgumentParser", "Foundation", "Glibc"],
            "asterism-sim": ["Base", "Simulator", "ArgumentParser", "Foundation", "FoundationEssentials", "Glibc"],
        ]
    }()

    @Test func `every import is an arrow of the picture`() {
        for file in Repository.sources where !file.isGenerated {
            let allowed = Self.arrows[file.target] ?? []
            for name in file.imports {
                #expect(allowed.contains(name), "\(file) imports \(name), which \(file.target) may not")
            }
        }
    }

    @Test func `every target of the picture is there, and every folder is in the picture`() {
        let folders = Set(Repository.sources.map(\.target))
        #expect(folders == Set(Self.arrows.keys))
    }

    /// Words that make a pure target depend on a clock, on chance, on the order of a hash table or on the machine.
    static let banned: [(pattern: String, why: String)] = [
        (#"\basync\b|\bawait\b|\bTask\s*[{(.]"#, "no concurrency: the driver decides what happens when"),
        (
            #"\.random\(|\.shuffled\(\)|\.shuffle\(\)|SystemRandomNumberGenerator|\.randomElement"#,
            "no hidden randomness"
        ),
        (
            #"\bDate\(|ContinuousClock|SuspendingClock|DispatchTime|clock_gettime|\bgetenv\b|ProcessInfo"#,
            "no clock, no environment"
        ),
        (
            #"\bDictionary<|\bSet<|\bSet\(|: \[[A-Za-z.]+: [A-Za-z.\[\]?]+\]|\bDictionary\("#,
            "no hash order: Table, OrderedDictionary or arrays"
        ),
        (#"\bany Error\b"#, "typed throws"),
        (#"\bfatalError\b|\btry!|\bprint\("#, "values for mistakes of others, preconditions for ours"),
        (#"\bActor\b|\bactor\b|@MainActor|nonisolated\(unsafe\)"#, "plain values"),
    ]
    /// Where a banned word stands for a reason.
    static let exceptions: [String: [String]] = [
        // The one hash table, behind an interface without iteration.
        "Sources/Base/Table.swift": ["Dictionary", "[Key: Value]"],
        // A requirement of `Decoder`, and always empty.
        "Sources/Control/API/RPC/JSONRPC.swift": ["[CodingUserInfoKey: Any]"],
    ]

    @Test func `pure targets hold no clock, no chance and no hash order`() throws {
        for (pattern, why) in Self.banned {
            let expression = try Regex(pattern)
            for file in Repository.sources where Self.pure.contains(file.target) && !file.isGenerated {
                let excused = Self.exceptions[file.path] ?? []
                for (number, line) in file.code.enumerated() where line.contains(expression) {
                    if excused.contains(where: line.contains) { continue }
                    // `try!` states on the line before why it cannot fail.
                    if line.contains("try!"), number > 0, file.lines[number - 1].contains("//") { continue }
                    // Codable's own signatures are untyped; the core does not call them.
                    if why == "typed throws", line.contains("any Decoder") || line.contains("any Encoder") { continue }
                    Issue.record("\(file):\(number + 1): \(why): \(line.trimmingCharacters(in: .whitespaces))")
                }
            }
        }
    }

    /// Law 3: only these folders of Mesh compose the others.
    static let composing: Set<String> = ["Endpoint", "Traversal", "Reports"]

    @Test func `folders of Mesh do not name each other's types`() throws {
        let files = Repository.sources.filter { $0.target == "Mesh" }
        let declaration = try Regex(
            #"(?:struct|class|enum|protocol)\s+([A-Z][A-Za-z0-9]*)"#, as: (Substring, Substring).self)
        var owners: [String: String] = [:]
        for file in files {
            guard let folder = file.folder else { continue }
            for line in file.code where !line.hasPrefix(" ") {
                if let match = line.firstMatch(of: declaration) { owners[String(match.1)] = folder }
            }
        }
        #expect(owners.count > 10)
        let word = try Regex(#"\b[A-Z][A-Za-z0-9]*\b"#)
        for file in files {
            guard let folder = file.folder, !Self.composing.contains(folder) else { continue }
            for (number, line) in file.code.enumerated() {
                for match in line.matches(of: word) {
                    let name = String(line[match.range])
                    if let owner = owners[name], owner != folder {
                        Issue.record("\(file):\(number + 1): \(folder) names \(owner)'s \(name)")
                    }
                }
            }
        }
    }

    /// One idea a file. What is longer states why here.
    static let longFiles: [String: String] = [:]
    /// What is longer than 70 lines and is right so.
    static let longFunctions: [String: String] = [
        "Sources/Fuzz/FuzzFleet.swift:23": "one list of who is in the fleet, and of what each has"
    ]

    /// Comments may be a word longer: the formatter does not break them.
    @Test func `files have at most 500 lines, and lines at most 120 columns`() {
        for file in Repository.sources where !file.isGenerated {
            if Self.longFiles[file.path] == nil {
                #expect(file.lines.count <= 500, "\(file) has \(file.lines.count) lines")
            }
            for (number, line) in file.lines.enumerated() {
                let isText = line.drop { $0 == " " }.hasPrefix("//") || line.hasSuffix("\\")
                let limit = isText ? 130 : 120
                #expect(line.count <= limit, "\(file):\(number + 1) has \(line.count) columns")
            }
        }
        for path in Self.longFiles.keys {
            #expect(Repository.sources.contains { $0.path == path }, "\(path) is not there")
        }
    }

    @Test func `functions have at most 70 lines`() throws {
        let start = try Regex(
            #"^(\s*)(?:[a-z@()_]+\s+)*(?:func\s|init[?(<]|deinit\b)"#, as: (Substring, Substring).self)
        for file in Repository.sources where !file.isGenerated {
            var open: (line: Int, indent: Int)?
            for (number, line) in file.lines.enumerated() {
                if let match = line.firstMatch(of: start), open == nil, !line.hasSuffix("}") {
                    open = (number, match.1.count)
                } else if let function = open, line == String(repeating: " ", count: function.indent) + "}" {
                    let length = number - function.line + 1
                    let name = "\(file):\(function.line + 1)"
                    if Self.longFunctions[name] == nil { #expect(length <= 70, "\(name) has \(length) lines") }
                    open = nil
                }
            }
        }
    }

    @Test func `no word of unfinished work stands in the sources`() throws {
        let words = try Regex(#"\bTO"# + #"DO\b|\bFIX"# + #"ME\b|\bXX"# + #"X\b|not yet "# + "implemented")
        for file in Repository.swift {
            for (number, line) in file.lines.enumerated() where line.contains(words) {
                Issue.record("\(file):\(number + 1): \(line)")
            }
        }
    }

    /// A layout without bytes to show for it is no layout.
    @Test func `every message of Wire has a golden`() throws {
        let folder = Repository.root.appending(path: "Fixtures/wire")
        let goldens = try FileManager.default.contentsOfDirectory(atPath: folder.path()).filter { $0.hasSuffix(".hex") }
        let cases = try Regex(#"^    case ([a-z][A-Za-z0-9]*)"#, as: (Substring, Substring).self)
        for (type, path, prefix) in [
            ("DatagramHeader", "Sources/Wire/DatagramHeader.swift", "header-"),
            ("MeshFrame", "Sources/Wire/MeshFrame.swift", "frame-"),
            ("Frame", "Sources/Wire/Frame.swift", "stream-"),
            ("ControlMessage", "Sources/Wire/Messages/ControlMessage.swift", "message-"),
        ] {
            let file = try #require(Repository.sources.first { $0.path == path }, "\(path)")
            let begin = try #require(file.lines.firstIndex { $0.contains("enum \(type): ") }, "\(type) in \(path)")
            let end = file.lines[begin...].firstIndex(of: "}") ?? file.lines.count
            var found = 0
            for line in file.lines[begin..<end] {
                guard let match = line.firstMatch(of: cases) else { continue }
                found += 1
                let name = prefix + Self.kebab(String(match.1))
                #expect(
                    goldens.contains { $0 == "\(name).hex" || $0.hasPrefix("\(name)-") },
                    "\(type).\(match.1): no \(name).hex")
            }
            #expect(found > 0, "\(type) has no cases")
        }
        for name in ["certificate", "handshake-payload", "heartbeat", "heartbeat-ack", "bench-request", "bench-answer"]
        {
            #expect(goldens.contains("\(name).hex"))
        }
    }

    private static func kebab(_ name: String) -> String {
        name.map { $0.isUppercase ? "-\($0.lowercased())" : String($0) }.joined()
    }

    @Test func `the top level holds what it should and nothing else`() throws {
        let allowed: Set = [
            "Package.swift", "Package.resolved", "Sources", "Tests", "systemd", "Fixtures", "README.md", "LICENSE",
        ]
        for name in try FileManager.default.contentsOfDirectory(atPath: Repository.root.path())
        where !name.hasPrefix(".") {
            #expect(allowed.contains(name), "\(name) lies at the top")
        }
    }
}
