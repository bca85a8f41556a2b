import Yams

/// # Keys that are there twice
///
/// The parser refuses a mapping with a repeated key and says only where the mapping begins. So that a repeated key is one
/// problem among others, with its own place, its second occurrence is found in the text, marked by a character that no key
/// has (of the same width, so that all places stay as they are), and the text is parsed again.
enum UniqueKeys {
    /// From the private use area of Unicode; YAML allows it in a key.
    private static let mark: Unicode.Scalar = "\u{e000}"
    /// Beyond this the rest is not worth telling.
    private static let maxRepeats = 32

    static func isRepeated(_ key: String) -> Bool { key.unicodeScalars.first == mark }

    static func compose(_ text: String) -> (root: Node?, problems: [FileProblem]) {
        var text = text
        var problems: [FileProblem] = []
        while true {
            do {
                return (try Yams.compose(yaml: text), problems)
            } catch let error as YamlError {
                if case .duplicatedKeysInMapping(let keys, let context) = error, problems.count < maxRepeats,
                    let key = keys.first, let place = hide(key, after: context.mark, in: &text)
                {
                    problems.append(FileProblem(key, "is there twice", at: place))
                    continue
                }
                return (nil, problems + [problem(error)])
            } catch {
                return (nil, problems + [FileProblem("", "\(error)", at: .start)])
            }
        }
    }

    /// Marks the second occurrence of a key, and says where it is.
    private static func hide(_ key: String, after mapping: Mark, in text: inout String) -> FilePlace? {
        var scalars = Array(text.unicodeScalars)
        let name = Array(key.unicodeScalars)
        guard !name.isEmpty else { return nil }
        var line = 1, column = 1, seen = 0
        var blockColumn: Int?
        for place in scalars.indices {
            let isInside = (line, column) >= (mapping.line, mapping.column)
            if isInside, isKey(name, at: place, in: scalars) {
                let isQuoted = place > 0 && isQuote(scalars[place - 1])
                let begin = FilePlace(line: line, column: isQuoted ? column - 1 : column)
                // Keys of a mapping inside have the same name and another column.
                if blockColumn == nil || line == mapping.line || begin.column == blockColumn {
                    seen += 1
                    if blockColumn == nil, begin.column == mapping.column { blockColumn = begin.column }
                    if seen == 2 {
                        scalars[place] = mark
                        text = String(String.UnicodeScalarView(scalars))
                        return begin
                    }
                }
            }
            if scalars[place] == "\n" { (line, column) = (line + 1, 1) } else { column += 1 }
        }
        return nil
    }

    private static func isQuote(_ scalar: Unicode.Scalar) -> Bool { scalar == "\"" || scalar == "'" }

    /// Whether the name stands here as a key: after a break, a space or an opening, and before a colon.
    private static func isKey(_ name: [Unicode.Scalar], at place: Int, in scalars: [Unicode.Scalar]) -> Bool {
        guard place + name.count < scalars.count, scalars[place..<place + name.count].elementsEqual(name) else {
            return false
        }
        var before = place - 1, after = place + name.count
        if before >= 0, isQuote(scalars[before]), scalars[after] == scalars[before] {
            (before, after) = (before - 1, after + 1)
        }
        guard before < 0 || [" ", "\n", "{", ",", "\t"].contains(scalars[before]) else { return false }
        while after < scalars.count, scalars[after] == " " { after += 1 }
        return after < scalars.count && scalars[after] == ":"
    }

    private static func problem(_ error: YamlError) -> FileProblem {
        func at(_ mark: Mark) -> FilePlace { FilePlace(line: mark.line, column: mark.column) }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            return FileProblem("", "not YAML: \(context.map { "\($0.text) " } ?? "")\(problem)", at: at(mark))
        case .duplicatedKeysInMapping(let keys, let context):
            return FileProblem(keys.joined(separator: ", "), "is there twice", at: at(context.mark))
        case .reader(let problem, _, _, _): return FileProblem("", "not YAML: \(problem)", at: .start)
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            return FileProblem("", "not YAML: \(error)", at: .start)
        }
    }
}
