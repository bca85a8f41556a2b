import Base

/// A file's bytes as the text of one YAML document: UTF-8 without a byte order mark, lines that end in LF.
///
/// Some mistakes are found here because libyaml's messages for them do not help. For a tab in the indentation it reports "a
/// character that cannot start any token". For a control character it gives an offset and no line.
package struct YAMLText {
    /// Bytes. A larger file is refused.
    package static let limit = 1 << 20

    let bytes: [UInt8]
    let dialect: YAMLDialect

    /// `file`: all bytes of the file. Throws everything that is wrong, by line.
    package init(_ file: [UInt8], as dialect: YAMLDialect) throws(YAMLProblems) {
        self.dialect = dialect
        guard file.count <= YAMLText.limit else {
            throw YAMLProblems([YAMLProblem(.wholeFile, "the file is larger than 1 MiB; a configuration is not")])
        }
        var bytes = file[...]
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes = bytes.dropFirst(3) }
        var problems: [YAMLProblem] = []
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        for (index, line) in lines.enumerated() {
            if line.last == UInt8(ascii: "\r") { lines[index].removeLast() }
            if let message = YAMLText.problem(lines[index], dialect) {
                problems.append(YAMLProblem(YAMLPlace(line: index + 1, column: 1), message))
            }
            guard dialect == .configuration else { continue }
            // libyaml accepts no tab before a comment, and none on a line that is otherwise empty.
            for place in YAMLText.indentation(lines[index]).indices { lines[index][place] = 0x20 }
        }
        guard problems.isEmpty else { throw YAMLProblems(problems) }
        self.bytes = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }

    private static func indentation(_ line: [UInt8]) -> ArraySlice<UInt8> { line.prefix { $0 == 0x20 || $0 == 0x09 } }

    private static func problem(_ line: [UInt8], _ dialect: YAMLDialect) -> String? {
        if String(validating: line, as: UTF8.self) == nil { return "the text is not UTF-8; save the file as UTF-8" }
        if let byte = line.first(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) {
            return "a control character (0x\([byte].hex)); remove it"
        }
        guard dialect == .configuration else { return nil }
        let indentation = indentation(line)
        if indentation.contains(0x09), indentation.count < line.count, line[indentation.count] != UInt8(ascii: "#") {
            return "a tab in the indentation; YAML takes spaces only"
        }
        return nil
    }
}
