import CLibyaml

/// # YAML with libyaml alone
///
/// Debian's libyaml, linked statically, gives events; this file makes a tree of them. `Yams`, which the command line uses,
/// needs the whole of Foundation: about 6 MiB resident in an agent that is to idle below 20 MiB.
///
/// A configuration needs little of YAML, and what it does not need is refused with its line: anchors, aliases, tags, several
/// documents, deep nesting. Scalars stay text; the option that a key belongs to gives the text its meaning, so `no` is
/// never a boolean by accident.
struct YAMLReader {
    /// A configuration has two levels; the rest is there to be refused with words.
    private static let depthLimit = 16

    fileprivate struct Event {
        enum Kind {
            case streamStart, streamEnd, documentStart, documentEnd, alias
            case scalar(String, isPlain: Bool)
            case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        }
        var kind: Kind
        var line: Int
        var hasAnchor = false
        var hasTag = false
    }

    private let events: [Event]
    private var position = 0
    private var problems: [YAMLProblem] = []

    /// The document's root; `nil` for a file without content. Throws everything that is wrong.
    static func read(_ text: YAMLText) throws(YAMLProblems) -> YAMLNode? {
        var reader: YAMLReader
        do throws(YAMLProblem) { reader = YAMLReader(events: try events(of: text.bytes)) } catch {
            throw YAMLProblems([error])
        }
        let root: YAMLNode?
        do throws(YAMLProblem) { root = try reader.document() } catch { throw YAMLProblems(reader.problems + [error]) }
        guard reader.problems.isEmpty else { throw YAMLProblems(reader.problems) }
        return root
    }

    private init(events: [Event]) { self.events = events }

    // MARK: - The tree

    private mutating func document() throws(YAMLProblem) -> YAMLNode? {
        var root: YAMLNode?
        var documents = 0
        while position < events.count {
            let event = events[position]
            position += 1
            guard case .documentStart = event.kind else { continue }
            documents += 1
            guard documents == 1 else {
                throw YAMLProblem(event.line, "a second document begins here; the file is one document")
            }
            root = try node(depth: 0)
        }
        guard let root, !root.isNull else { return nil }
        return root
    }

    private mutating func node(depth: Int) throws(YAMLProblem) -> YAMLNode {
        let event = events[position]
        position += 1
        guard depth < YAMLReader.depthLimit else { throw YAMLProblem(event.line, "nested too deeply") }
        if event.hasAnchor {
            problems.append(YAMLProblem(event.line, "anchors (&name) are not supported; write the value"))
        }
        if event.hasTag { problems.append(YAMLProblem(event.line, "tags (!name) are not supported; remove it")) }
        switch event.kind {
        case .alias:
            problems.append(YAMLProblem(event.line, "aliases (*name) are not supported; write the value"))
            return .scalar("alias", isPlain: false, line: event.line)
        case .scalar(let text, let isPlain):
            if text.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x7f })
            {
                problems.append(YAMLProblem(event.line, "the value holds a control character; remove it"))
            }
            return .scalar(text, isPlain: isPlain, line: event.line)
        case .sequenceStart:
            var items: [YAMLNode] = []
            while true {
                if case .sequenceEnd = events[position].kind { break }
                items.append(try node(depth: depth + 1))
            }
            position += 1
            return .sequence(items, line: event.line)
        case .mappingStart:
            var entries: [(key: YAMLNode, value: YAMLNode)] = []
            while true {
                if case .mappingEnd = events[position].kind { break }
                entries.append((try node(depth: depth + 1), try node(depth: depth + 1)))
            }
            position += 1
            return .mapping(entries, line: event.line)
        // libyaml balances its events.
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            preconditionFailure("libyaml gave an end without a beginning")
        }
    }

    // MARK: - libyaml

    private static func events(of bytes: [UInt8]) throws(YAMLProblem) -> [Event] {
        // libyaml keeps the parser's address, so it may not move.
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else { throw YAMLProblem(0, "no memory to read the file") }
        defer { yaml_parser_delete(parser) }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        let result = bytes.withUnsafeBufferPointer { buffer -> Result<[Event], YAMLProblem> in
            yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
            var all: [Event] = []
            while true {
                var event = yaml_event_t()
                guard yaml_parser_parse(parser, &event) == 1 else { return .failure(problem(parser)) }
                defer { yaml_event_delete(&event) }
                guard let made = Event(event) else { continue }
                all.append(made)
                if case .streamEnd = made.kind { return .success(all) }
            }
        }
        return try result.get()
    }

    private static func problem(_ parser: UnsafeMutablePointer<yaml_parser_t>) -> YAMLProblem {
        let text = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
        let line = Int(parser.pointee.problem_mark.line) + 1
        return YAMLProblem(line, "\(text); quote a value that holds ': ' or ' #' or begins with a special character")
    }
}

extension YAMLReader.Event {
    init?(_ event: yaml_event_t) {
        line = Int(event.start_mark.line) + 1
        switch event.type {
        case YAML_STREAM_START_EVENT: kind = .streamStart
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_ALIAS_EVENT: kind = .alias
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = .scalar(
                String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            (hasAnchor, hasTag) = (scalar.anchor != nil, scalar.tag != nil)
        case YAML_SEQUENCE_START_EVENT:
            kind = .sequenceStart
            (hasAnchor, hasTag) = (event.data.sequence_start.anchor != nil, event.data.sequence_start.tag != nil)
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            kind = .mappingStart
            (hasAnchor, hasTag) = (event.data.mapping_start.anchor != nil, event.data.mapping_start.tag != nil)
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        default: return nil
        }
    }
}
