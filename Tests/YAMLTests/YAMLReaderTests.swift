import Testing
import YAML

@Suite struct YAMLReaderTests {
    static func read(_ text: String, _ dialect: YAMLDialect = .document) throws(YAMLProblems) -> YAMLNode? {
        try YAMLReader.read(try YAMLText(Array(text.utf8), as: dialect))
    }

    static func problems(_ text: String, _ dialect: YAMLDialect = .document) -> [String] {
        do throws(YAMLProblems) {
            _ = try read(text, dialect)
            return []
        } catch { return error.all.map { "\($0.place.line):\($0.place.column): \($0.message)" } }
    }

    /// A short form: `[a, {b: c}]`.
    static func text(_ node: YAMLNode?) -> String {
        switch node {
        case nil: "nothing"
        case .scalar(let text, let isPlain, _): isPlain ? text : "'\(text)'"
        case .sequence(let items, _): "[\(items.map { text($0) }.joined(separator: ", "))]"
        case .mapping(let members, _):
            "{\(members.map { "\(text($0.key)): \(text($0.value))" }.joined(separator: ", "))}"
        }
    }

    @Test func `nodes know their line and column`() throws {
        let root = try #require(try Self.read("a: 1\nb:\n  - x\n  - \"y z\"\n"))
        guard case .mapping(let members, let place) = root, case .sequence(let items, _) = members[1].value else {
            Issue.record("\(Self.text(root))")
            return
        }
        #expect(place == YAMLPlace(line: 1, column: 1) && members[1].key.place == YAMLPlace(line: 2, column: 1))
        #expect(items.map(\.place) == [YAMLPlace(line: 3, column: 5), YAMLPlace(line: 4, column: 5)])
        #expect(Self.text(root) == "{a: 1, b: [x, 'y z']}")
    }

    @Test func `an alias stands for the node of its anchor, with that node's place`() throws {
        let root = try Self.read("base: &b {x: 1}\ncopy: *b\nagain: &b 2\nlast: *b\n")
        #expect(Self.text(root) == "{base: {x: 1}, copy: {x: 1}, again: 2, last: 2}")
        #expect(Self.problems("a: *none\n") == ["1:4: no anchor '&none' stands before this alias"])
        #expect(Self.problems("a: &a [*a]\n") == ["1:8: no anchor '&a' stands before this alias"])
    }

    @Test func `aliases of aliases have a limit`() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let alias = "*a\(level - 1)"
            text += "a\(level): &a\(level) [\(Array(repeating: alias, count: 10).joined(separator: ", "))]\n"
        }
        #expect(Self.problems(text).first?.contains("more than 100000 values") ?? false)
        // Each alias is one level deeper than the one before.
        let deep = "a0: &a0 [x]\n" + (1...20).map { "a\($0): &a\($0) [*a\($0 - 1)]\n" }.joined()
        #expect(Self.problems(deep) == ["15:12: nested too deeply"])
    }

    @Test func `a configuration has neither anchors, aliases nor tags`() {
        #expect(
            Self.problems("a: &x 1\nb: *x\nc: !t 2\n", .configuration).map { $0.prefix(9) } == [
                "1:4: anch", "2:4: alia", "3:4: tags",
            ])
        #expect(Self.problems("a: !!str 5\n").isEmpty)
    }

    @Test func `a block scalar keeps its tabs in a document, and a configuration takes none in the indentation`() throws
    {
        let text = "a: |\n  x\n  \ty\n"
        #expect(Self.text(try Self.read(text)) == "{a: 'x\n\ty\n'}")
        #expect(Self.problems(text, .configuration) == ["3:1: a tab in the indentation; YAML takes spaces only"])
    }

    @Test func `a repeated key is kept, for the reader of the document to judge`() throws {
        #expect(Self.text(try Self.read("{a: 1, a: 2}")) == "{a: 1, a: 2}")
    }

    @Test(arguments: ["", "# nothing\n", "---\n", "~\n"])
    func `a file without content has no root`(_ text: String) throws {
        #expect(Self.text(try Self.read(text)) == "nothing")
    }

    @Test func `what is refused has its place`() {
        #expect(Self.problems("a: 1\n---\nb: 2\n") == ["2:1: a second document begins here; the file is one document"])
        #expect(Self.problems("a: [1\nb: 2\n").first?.hasPrefix("2:") ?? false)
        #expect(Self.problems("a: \u{7}\n") == ["1:1: a control character (0x07); remove it"])
        let nested = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(Self.problems(nested) == ["1:17: nested too deeply"])
    }
}
