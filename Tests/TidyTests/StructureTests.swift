import Foundation
import Testing

/// The laws of structure: how large a type is, who may change its state, and where it is found.
@Suite struct StructureTests {
    static let mostLines = 600
    static let mostProperties = 24
    /// Types beyond the law, with the reason. The list may only shrink.
    static let largeTypes: [String: String] = [
        "Control.NodeView": "one flat JSON object",
        "Control.StatusView": "one flat JSON object",
        "Wire.AcceleratorStatus": "one flat JSON object",
    ]
    static let ownedPercent = 80

    struct Scanned {
        let file: SourceFile
        let declarations: Declarations
    }
    static let scanned: [Scanned] = {
        Repository.sources.filter { !$0.isGenerated }.map { file in
            // The expressions are literals of this target.
            Scanned(file: file, declarations: try! Declarations(file))
        }
    }()

    /// Of one target: what a type is called there is unique.
    private static func key(_ file: SourceFile, _ type: String) -> String { "\(file.target).\(type)" }

    @Test func `a type has at most 600 lines over all its extensions, and at most 24 stored properties`() {
        var lines: [String: Int] = [:], properties: [String: Int] = [:]
        for scan in Self.scanned {
            for block in scan.declarations.blocks where block.isTopLevel && block.kind != .protocol {
                lines[Self.key(scan.file, block.outermost), default: 0] += block.lines.count
            }
            for property in scan.declarations.properties {
                properties[Self.key(scan.file, property.owner), default: 0] += 1
            }
        }
        #expect(lines.count > 300, "the scan finds no types")
        #expect(properties.count > 300, "the scan finds no properties")
        let large = lines.filter { $0.value > Self.mostLines },
            wide = properties.filter { $0.value > Self.mostProperties }
        for (type, count) in large.sorted(by: { $0.key < $1.key }) where Self.largeTypes[type] == nil {
            Issue.record("\(type) has \(count) lines")
        }
        for (type, count) in wide.sorted(by: { $0.key < $1.key }) where Self.largeTypes[type] == nil {
            Issue.record("\(type) has \(count) stored properties")
        }
        #expect(Self.largeTypes.count <= 3)
        for type in Self.largeTypes.keys {
            #expect(large[type] != nil || wide[type] != nil, "\(type) is within the law and needs no exception")
        }
    }

    /// In the modules that compose others.
    @Test func `most stored properties are private, private(set) or constant`() {
        var owned = 0, all = 0
        for target in ["Mesh", "Control", "Daemon"] {
            let properties = Self.scanned.filter { $0.file.target == target }.flatMap(\.declarations.properties)
            let few = properties.filter(\.isOwned).count
            print("\(target): \(few) of \(properties.count) stored properties are private, private(set) or constant")
            owned += few
            all += properties.count
        }
        #expect(all > 1000, "the scan finds no properties")
        #expect(owned * 100 >= all * Self.ownedPercent, "\(owned) of \(all)")
    }

    /// A file of functions has the name of one of them.
    @Test func `the first type gives a file its name`() {
        var misnamed: [String] = []
        for scan in Self.scanned where scan.file.name != "main" {
            if scan.file.isNamedAfterFunction { continue }
            let top = scan.declarations.blocks.filter { $0.isTopLevel && !$0.isPrivate }
            let types = scan.file.isExtension ? top : top.filter { $0.kind != .extension }
            guard let first = types.first ?? top.first else { continue }
            let names = [first.outermost, first.name.split(separator: ".").last.map(String.init)]
            if !names.contains(scan.file.owner) { misnamed.append("\(scan.file) begins with \(first.name)") }
        }
        #expect(misnamed.isEmpty, "\(misnamed.joined(separator: "\n"))")
    }

    /// Either the file is named after the type, or the file's own type uses it.
    @Test func `a type lies in a file that is named after it or after the type that uses it`() throws {
        let word = try Regex(#"[A-Z][A-Za-z0-9]*"#)
        var misplaced: [String] = []
        for scan in Self.scanned where scan.file.name != "main" {
            let code = scan.file.code
            let top = scan.declarations.blocks.filter(\.isTopLevel)
            var uses: [String: Set<String>] = [:]
            for block in top {
                for line in code[block.lines] {
                    uses[block.outermost, default: []].formUnion(line.matches(of: word).map { String(line[$0.range]) })
                }
            }
            let outside = code.indices.filter { line in !top.contains { $0.lines.contains(line) } }
            for line in outside where scan.file.isNamedAfterFunction {
                uses[scan.file.owner, default: []].formUnion(
                    code[line].matches(of: word).map { String(code[line][$0.range]) })
            }
            var reached: Set = [scan.file.owner], isGrowing = true
            while isGrowing {
                isGrowing = false
                for block in top where !reached.contains(block.outermost) {
                    let isUsed = reached.contains { uses[$0]?.contains(block.outermost) ?? false }
                    guard isUsed || block.isPrivate || block.outermost.hasPrefix(scan.file.owner) else { continue }
                    reached.insert(block.outermost)
                    isGrowing = true
                }
            }
            for block in top where block.kind != .extension && !reached.contains(block.outermost) {
                misplaced.append("\(scan.file) holds \(block.name), which \(scan.file.owner) does not use")
            }
        }
        #expect(misplaced.isEmpty, "\(misplaced.joined(separator: "\n"))")
    }

    @Test func `an essay that lists extensions of its type lists all of them`() throws {
        let entry = try Regex(#"^/// - `([A-Za-z]+)\+([A-Za-z]+)\.swift`"#, as: (Substring, Substring, Substring).self)
        var lists = 0
        for file in Repository.sources {
            let matches = file.lines.compactMap { $0.firstMatch(of: entry) }
            guard let owner = matches.first.map({ String($0.1) }) else { continue }
            lists += 1
            let listed = Set(matches.map { "\($0.1)+\($0.2)" })
            let there = Set(
                Repository.sources.filter { $0.target == file.target && $0.owner == owner && $0.isExtension }.map(
                    \.name))
            #expect(listed == there, "\(file) lists \(listed.sorted()), there are \(there.sorted())")
        }
        #expect(lists > 0)
    }

    /// One clock, one source of entropy, one weak box.
    @Test(arguments: [#"\bclock_gettime\("#, #"\bUInt64\.random\("#, #"\bclass Weak\b"#])
    func `utilities are there once`(pattern: String) throws {
        let expression = try Regex(pattern)
        let found = Repository.sources.flatMap { file in
            file.code.enumerated().filter { $0.element.contains(expression) }.map { "\(file):\($0.offset + 1)" }
        }
        #expect(found.count <= 1, "\(pattern) stands at \(found.joined(separator: ", "))")
    }

    /// A script that reads a file by an old name fails where no compiler sees it.
    @Test func `every file that a document or a script names is there`() throws {
        let name = try Regex(#"[A-Za-z0-9/_+-]*[A-Z][A-Za-z0-9/_+-]*\.swift"#)
        let documents = Repository.files(in: ["Sources", ".github"], suffix: ".md")
        #expect(documents.count > 10, "the scan finds no documents")
        let scripts = Repository.files(in: ["Sources", "Tests", "systemd", ".ci"], suffix: "")
            .filter { $0.lines[0].hasPrefix("#!") }
        #expect(scripts.count >= 5, "the scan finds no scripts")
        let sources = Repository.files(in: ["Sources"], suffix: ".c") + Repository.files(in: ["Sources"], suffix: ".h")
        for document in documents + scripts + sources {
            for line in document.lines where line.utf8.count > 6 && line.contains(".swift") {
                let line = line.replacing("$top/", with: "")
                for match in line.matches(of: name) where !line[match.range].contains("VERB") {
                    let path = line[match.range]
                    let isThere = Repository.swift.contains { "/\($0.path)".hasSuffix("/\(path)") }
                    #expect(isThere || path == "Package.swift", "\(document) names \(path)")
                }
            }
        }
    }
}
