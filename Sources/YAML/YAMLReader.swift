import CLibyaml

/// # YAML with libyaml alone
///
/// Debian's libyaml, linked statically, gives events; this file makes a tree of them. It is the only YAML reader. A library
/// that decodes into `Codable` types needs the whole of Foundation, about 6 MiB resident in an agent that must idle below
/// 20 MiB. For a repeated key such a library names only the mapping that contains it.
///
/// Scalars stay text. The key that a scalar belongs to gives the text its meaning, so `no` is never a boolean by accident.
/// Several documents, and nodes that are nested too deeply, are refused with their place.
package struct YAMLReader {
    /// Our documents have four levels. Deeper ones are read up to this depth, so that the error can name the place.
    private static let depthLimit = 16
    /// Aliases of aliases multiply. This is more than any useful file of 1 MiB needs.
    private static let nodeLimit = 100_000

    fileprivate struct Event {
        enum Kind {
            case streamStart, streamEnd, documentStart, documentEnd
            case alias(String)
            case scalar(String, isPlain: Bool)
            case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        }
        var kind: Kind
        var place: YAMLPlace
        var anchor: String?
        var hasTag = false
    }

    /// A node that an alias may name.
    private struct Anchored {
        let node: YAMLNode
        let nodes: Int
        let height: Int
    }

    private let events: [Event]
    private let dialect: YAMLDialect
    private var position = 0
    private var problems: [YAMLProblem] = []
    private var anchors: [String: Anchored] = [:]
    /// Aliases count as what they stand for.
    private var nodes = 0

    /// The document's root; `nil` for a file without content. Throws everything that is wrong.
    package static func read(_ text: YAMLText) throws(YAMLProblems) -> YAMLNode? {
        var reader: YAMLReader
        do throws(YAMLProblem) { reader = YAMLReader(events: try events(of: text.bytes), dialect: text.dialect) } catch
        {
            throw YAMLProblems([error])
        }
        let root: YAMLNode?
        do throws(YAMLProblem) { root = try reader.document() } catch { throw YAMLProblems(reader.problems + [error]) }
        guard reader.problems.isEmpty else { throw YAMLProblems(reader.problems) }
        return root
    }

    private init(events: [Event], dialect: YAMLDialect) {
        self.events = events
        self.dialect = dialect
    }

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
                throw YAMLProblem(event.place, "a second document begins here; the file is one document")
            }
            root = try node(depth: 0).node
        }
        guard let root, !root.isNull else { return nil }
        return root
    }

    /// `height`: levels of the node, itself included.
    private mutating func node(depth: Int) throws(YAMLProblem) -> (node: YAMLNode, height: Int) {
        let event = events[position], before = nodes
        position += 1
        guard depth < YAMLReader.depthLimit else { throw YAMLProblem(event.place, "nested too deeply") }
        try count(1, at: event.place)
        if dialect == .configuration { refuseExtras(of: event) }
        var height = 1
        let node: YAMLNode
        switch event.kind {
        case .alias(let name): return try alias(name, at: event.place, depth: depth)
        case .scalar(let text, let isPlain):
            if text.unicodeScalars.contains(where: { $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x7f })
            {
                problems.append(YAMLProblem(event.place, "the value holds a control character; remove it"))
            }
            node = .scalar(text, isPlain: isPlain, at: event.place)
        case .sequenceStart:
            var items: [YAMLNode] = []
            while true {
                if case .sequenceEnd = events[position].kind { break }
                items.append(try child(depth, &height))
            }
            position += 1
            node = .sequence(items, at: event.place)
        case .mappingStart:
            var entries: [(key: YAMLNode, value: YAMLNode)] = []
            while true {
                if case .mappingEnd = events[position].kind { break }
                entries.append((try child(depth, &height), try child(depth, &height)))
            }
            position += 1
            node = .mapping(entries, at: event.place)
        // libyaml balances its events.
        case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
            preconditionFailure("libyaml gave an end without a beginning")
        }
        if let anchor = event.anchor {
            anchors[anchor] = Anchored(node: node, nodes: nodes - before, height: height)
        }
        return (node, height)
    }

    private mutating func child(_ depth: Int, _ height: inout Int) throws(YAMLProblem) -> YAMLNode {
        let child = try node(depth: depth + 1)
        height = max(height, child.height + 1)
        return child.node
    }

    private mutating func alias(
        _ name: String, at place: YAMLPlace, depth: Int
    ) throws(YAMLProblem) -> (node: YAMLNode, height: Int) {
        guard dialect == .document else {
            problems.append(YAMLProblem(place, "aliases (*name) are not supported; write the value"))
            return (.scalar("alias", isPlain: false, at: place), 1)
        }
        // An anchor is known when its node is complete, so no node holds itself.
        guard let named = anchors[name] else {
            throw YAMLProblem(place, "no anchor '&\(name)' stands before this alias")
        }
        guard depth + named.height <= YAMLReader.depthLimit else { throw YAMLProblem(place, "nested too deeply") }
        try count(named.nodes - 1, at: place)
        return (named.node, named.height)
    }

    private mutating func count(_ more: Int, at place: YAMLPlace) throws(YAMLProblem) {
        nodes += more
        guard nodes <= YAMLReader.nodeLimit else {
            throw YAMLProblem(place, "more than \(YAMLReader.nodeLimit) values, aliases included")
        }
    }

    private mutating func refuseExtras(of event: Event) {
        if event.anchor != nil {
            problems.append(YAMLProblem(event.place, "anchors (&name) are not supported; write the value"))
        }
        if event.hasTag { problems.append(YAMLProblem(event.place, "tags (!name) are not supported; remove it")) }
    }

    // MARK: - libyaml

    private static func events(of bytes: [UInt8]) throws(YAMLProblem) -> [Event] {
        // libyaml keeps the parser's address, so it may not move.
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else {
            throw YAMLProblem(.wholeFile, "no memory to read the file")
        }
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
        let mark = parser.pointee.problem_mark
        return YAMLProblem(
            YAMLPlace(mark), "\(text); quote a value that holds ': ' or ' #' or begins with a special character")
    }
}

extension YAMLPlace {
    fileprivate init(_ mark: yaml_mark_t) { self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1) }
}

extension YAMLReader.Event {
    init?(_ event: yaml_event_t) {
        func text(_ name: UnsafeMutablePointer<yaml_char_t>?) -> String? {
            name.map { String(cString: UnsafePointer($0)) }
        }
        place = YAMLPlace(event.start_mark)
        switch event.type {
        case YAML_STREAM_START_EVENT: kind = .streamStart
        case YAML_STREAM_END_EVENT: kind = .streamEnd
        case YAML_DOCUMENT_START_EVENT: kind = .documentStart
        case YAML_DOCUMENT_END_EVENT: kind = .documentEnd
        case YAML_ALIAS_EVENT: kind = .alias(text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            kind = .scalar(
                String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
            (anchor, hasTag) = (text(scalar.anchor), scalar.tag != nil)
        case YAML_SEQUENCE_START_EVENT:
            kind = .sequenceStart
            (anchor, hasTag) = (text(event.data.sequence_start.anchor), event.data.sequence_start.tag != nil)
        case YAML_SEQUENCE_END_EVENT: kind = .sequenceEnd
        case YAML_MAPPING_START_EVENT:
            kind = .mappingStart
            (anchor, hasTag) = (text(event.data.mapping_start.anchor), event.data.mapping_start.tag != nil)
        case YAML_MAPPING_END_EVENT: kind = .mappingEnd
        default: return nil
        }
    }
}
