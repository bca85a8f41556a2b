import Foundation

/// One file of the project, with what the laws look at.
struct SourceFile: CustomStringConvertible {
    /// Relative to the repository: `Sources/Base/Instant.swift`.
    let path: String
    let lines: [String]

    var description: String { path }
    /// The target: the folder below `Sources` or `Tests`.
    var target: String { String(path.split(separator: "/")[1]) }
    /// The folder below the target's, if the file lies in one.
    var folder: String? {
        let parts = path.split(separator: "/")
        return parts.count > 3 ? String(parts[2]) : nil
    }
    var isGenerated: Bool { path.hasSuffix(".pb.swift") }
    /// Without folders and suffix: `Instant`, `PathSet+Path`.
    var name: String { String(path.split(separator: "/").last!.dropLast(".swift".count)) }
    /// Whose file it is: `PathSet` for `PathSet+Path`.
    var owner: String { String(name.split(separator: "+")[0]) }
    var isExtension: Bool { name.contains("+") }
    /// `launchWorker` lies in `LaunchWorker.swift`.
    var isNamedAfterFunction: Bool {
        let function = "func \(name.prefix(1).lowercased())\(name.dropFirst())("
        return code.contains { $0.contains(function) && !$0.hasPrefix(" ") }
    }

    /// The lines without comments and without what stands in string literals, so that words are code.
    var code: [String] {
        var isInText = false
        return lines.map { line in
            let quotes = line.components(separatedBy: "\"\"\"").count - 1
            defer { if quotes % 2 == 1 { isInText.toggle() } }
            if isInText || quotes % 2 == 1 { return "" }
            return SourceFile.stripped(line)
        }
    }

    private static func stripped(_ line: String) -> String {
        var code = "", isInString = false, previous: Character = " "
        for character in line {
            if character == "\"", previous != "\\" { isInString.toggle() }
            if !isInString { code.append(character) }
            if code.hasSuffix("//") { return String(code.dropLast(2)) }
            previous = character == "\\" && previous == "\\" ? " " : character
        }
        return code
    }

    var imports: [String] {
        code.compactMap { line in
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), position + 1 < words.count, position <= 1 else {
                return nil
            }
            return words[position + 1].split(separator: ".").first.map(String.init)
        }
    }
}

/// The repository as it lies on disk.
struct Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardizedFileURL

    static let swift: [SourceFile] = files(in: ["Sources", "Tests"], suffix: ".swift")
    static let sources = swift.filter { $0.path.hasPrefix("Sources/") }

    static func files(in folders: [String], suffix: String) -> [SourceFile] {
        folders.flatMap { folder -> [SourceFile] in
            let base = root.appending(path: folder)
            let walk = FileManager.default.enumerator(atPath: base.path())
            let paths = (walk?.allObjects as? [String] ?? []).filter { $0.hasSuffix(suffix) }.sorted()
            return paths.map { path in
                let text = (try? String(contentsOf: base.appending(path: path), encoding: .utf8)) ?? ""
                return SourceFile(path: "\(folder)/\(path)", lines: text.components(separatedBy: "\n"))
            }
        }
    }
}
