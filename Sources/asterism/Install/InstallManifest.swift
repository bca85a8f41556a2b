/// The list of the files that an installation wrote, for `asterism uninstall` to remove. It has one path a line;
/// directories that were made for it have a slash at the end.
struct InstallManifest {
    private(set) var paths: [String]

    init() { paths = [] }

    init(_ text: String) {
        paths = text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("/") }
    }

    var text: String { paths.joined(separator: "\n") + "\n" }

    var files: [String] { paths.filter { !$0.hasSuffix("/") } }
    /// The innermost first.
    var directories: [String] {
        paths.filter { $0.hasSuffix("/") }.map { String($0.dropLast()) }.sorted { $0.count > $1.count }
    }

    mutating func add(file path: String) { if !paths.contains(path) { paths.append(path) } }
    mutating func add(directory path: String) { add(file: path + "/") }
    mutating func keep(from older: InstallManifest) { older.paths.forEach { add(file: $0) } }
}
