import Base

/// A file's bytes as the text of one YAML document: UTF-8 without a byte order mark, lines that end in LF.
///
/// Some mistakes are found here because libyaml's words for them do not help: a tab in the indentation is "a character that
/// cannot start any token", and a control character has an offset and no line.
struct YAMLText {
    /// More is not a configuration.
    static let limit = 1 << 20

    let bytes: [UInt8]

    init(_ file: [UInt8]) throws(YAMLProblems) {
        guard file.count <= YAMLText.limit else {
            throw YAMLProblems([YAMLProblem(0, "the file is larger than 1 MiB; a configuration is not")])
        }
        var bytes = file[...]
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes = bytes.dropFirst(3) }
        var problems: [YAMLProblem] = []
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        for (index, line) in lines.enumerated() {
            if line.last == UInt8(ascii: "\r") { lines[index].removeLast() }
            if let message = YAMLText.problem(lines[index]) { problems.append(YAMLProblem(index + 1, message)) }
            // libyaml takes no tab before a comment, nor on a line that is empty else.
            for place in YAMLText.indentation(lines[index]).indices { lines[index][place] = 0x20 }
        }
        guard problems.isEmpty else { throw YAMLProblems(problems) }
        self.bytes = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }

    private static func indentation(_ line: [UInt8]) -> ArraySlice<UInt8> { line.prefix { $0 == 0x20 || $0 == 0x09 } }

    private static func problem(_ line: [UInt8]) -> String? {
        if String(validating: line, as: UTF8.self) == nil { return "the text is not UTF-8; save the file as UTF-8" }
        if let byte = line.first(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) {
            return "a control character (0x\([byte].hex)); remove it"
        }
        let indentation = indentation(line)
        if indentation.contains(0x09), indentation.count < line.count, line[indentation.count] != UInt8(ascii: "#") {
            return "a tab in the indentation; YAML takes spaces only"
        }
        return nil
    }
}

/// Everything that is wrong in a file, by line.
struct YAMLProblems: Error, Hashable {
    var all: [YAMLProblem]

    init(_ all: [YAMLProblem]) { self.all = all }
}
