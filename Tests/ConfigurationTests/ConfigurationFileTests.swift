import Base
import Configuration
import Testing

/// Files, read and refused.
@Suite struct ConfigurationFileTests {
    private static func read(_ text: String) throws(ConfigurationErrors) -> [String: [String]] {
        try read(Array(text.utf8))
    }

    private static func read(_ bytes: [UInt8]) throws(ConfigurationErrors) -> [String: [String]] {
        let file = try ConfigurationFile(path: "agent.yaml", bytes, for: .agent)
        return Dictionary(uniqueKeysWithValues: file.entries.map { ($0.key.name, $0.values.map(\.text)) })
    }

    private static func problems(_ bytes: [UInt8]) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try read(bytes)
            return []
        } catch { return error.lines }
    }

    @Test func `values are the text of the file, whatever YAML 1_1 makes of it`() throws {
        let text = """
            ---
            # A comment.
            log-level: debug   # another
            overlay: off
            name: "gpu: 7"
            site: 'it''s'
            data-plane-threads: 2
            listen: 0.0.0.0:7951
            tcp-listen: "[::]:443"
            allow:
              - tcp:80,8000-8099 from app=web
              - icmp
            stun: [192.0.2.1:3478, "[2001:db8::1]:3478"]
            label: {zone: a, rack: "7", on: yes}
            """
        #expect(
            try Self.read(text) == [
                "log-level": ["debug"], "overlay": ["off"], "name": ["gpu: 7"], "site": ["it's"],
                "data-plane-threads": ["2"], "listen": ["0.0.0.0:7951"], "tcp-listen": ["[::]:443"],
                "allow": ["tcp:80,8000-8099 from app=web", "icmp"],
                "stun": ["192.0.2.1:3478", "[2001:db8::1]:3478"], "label": ["zone=a", "rack=7", "on=yes"],
            ])
        #expect(try Self.read("label: [a=1, b=2]") == ["label": ["a=1", "b=2"]])
        #expect(try Self.read("label: a=1") == ["label": ["a=1"]])
        #expect(try Self.read("allow: []") == ["allow": []])
        #expect(try Self.read("site: \"\"") == ["site": [""]])
    }

    @Test func `an empty file, a byte order mark and CRLF are accepted`() throws {
        for text in ["", "\n", "\t\n", "# nothing\n", "---\n", "---\n...\n", "  \t# a comment behind a tab\n"] {
            #expect(try Self.read(text).isEmpty, "\(text)")
        }
        #expect(try Self.read([0xef, 0xbb, 0xbf] + Array("site: a".utf8)) == ["site": ["a"]])
        #expect(try Self.read("site: a\r\nlabel:\r\n  - b=c\r\n") == ["site": ["a"], "label": ["b=c"]])
    }

    /// A text, and the lines that refuse it, without the file's name.
    static let refused: [(text: String, lines: [String])] = [
        ("log_level: info", ["1: unknown key 'log_level'; did you mean 'log-level'?"]),
        ("\n\nlogLevel: info", ["3: unknown key 'logLevel'; did you mean 'log-level'?"]),
        ("LOG_LEVEL: info", ["1: unknown key 'LOG_LEVEL'; did you mean 'log-level'?"]),
        ("--log-level: info", ["1: unknown key '--log-level'; did you mean 'log-level'?"]),
        ("lable: a=b", ["1: unknown key 'lable'; did you mean 'label'?"]),
        ("tcpListen: 'x'", ["1: unknown key 'tcpListen'; did you mean 'tcp-listen'?"]),
        ("colour: red", ["1: unknown key 'colour'"]),
        (
            "join-token: ast1-x",
            [
                "1: 'join-token' cannot be set in a file: a token is a secret; put it into a file that"
                    + " only root may read, and name it with 'join-token-file'"
            ]
        ),
        (
            "joinToken: ast1-x",
            [
                "1: 'joinToken' cannot be set in a file: a token is a secret; put it into a file that"
                    + " only root may read, and name it with 'join-token-file'"
            ]
        ),
        ("config: /x", ["1: 'config' cannot be set in a file: the command line names the file"]),
        ("site: a\nname: b\nsite: c", ["3: 'site' is given twice, first at line 1"]),
        ("site:", ["1: 'site' has no value; give one, or comment the line out"]),
        ("site: ~", ["1: 'site' has no value; give one, or comment the line out"]),
        ("allow:\n  -\n", ["2: 'allow' is a list of single values, and this is nothing"]),
        ("site: [a, b]", ["1: 'site' takes one value, not a list"]),
        ("site: {a: b}", ["1: 'site' takes one value, not a mapping"]),
        ("allow: {a: b}", ["1: 'allow' takes a list of values, not a mapping"]),
        ("allow: [[a]]", ["1: 'allow' is a list of single values, and this is a list"]),
        ("label: {a: [b]}", ["1: 'label' is a mapping of names to single values, and this is a list"]),
        ("label: {a=b: c}", ["1: 'a=b': the name of a label has no '='"]),
        ("[a]: b", ["1: a list where a key is expected"]),
        ("- site", ["1: a list where keys with values are expected, such as 'log-level: info'"]),
        ("site", ["1: a single value where keys with values are expected, such as 'log-level: info'"]),
        ("label:\n\t- a=b\n", ["2: a tab in the indentation; YAML takes spaces only"]),
        ("site: a\u{1}", ["1: a control character (0x01); remove it"]),
        ("site: \"a\\0\"", ["1: the value holds a control character; remove it"]),
        (
            "site: &x a\nname: *x",
            [
                "1: anchors (&name) are not supported; write the value",
                "2: aliases (*name) are not supported; write the value",
            ]
        ),
        ("site: !!str a", ["1: tags (!name) are not supported; remove it"]),
        ("site: a\n---\nname: b", ["2: a second document begins here; the file is one document"]),
        ("data-plane-threads: many", ["1: data-plane-threads: 'many' is not a whole number"]),
        // All at once, in the order of the lines.
        (
            "lisen: x\nsite:\nsite: b\n",
            [
                "1: unknown key 'lisen'; did you mean 'listen'?",
                "2: 'site' has no value; give one, or comment the line out",
                "3: 'site' is given twice, first at line 2",
            ]
        ),
    ]

    @Test(arguments: refused.indices)
    func `what is wrong is reported with its line and the way out`(index: Int) {
        let (text, lines) = Self.refused[index]
        #expect(Self.problems(Array(text.utf8)) == lines.map { "agent.yaml:\($0)" })
    }

    @Test func `what is no YAML is reported with the line where that shows`() {
        for (text, line) in [
            ("site: [a", 2), ("site: a: b", 1), ("listen: [::]:7950", 1), ("a: \"b", 2), ("%YAML 9", 1),
        ] {
            let lines = Self.problems(Array((text + "\n").utf8))
            #expect(lines.count == 1 && lines[0].hasPrefix("agent.yaml:\(line): "), "\(text): \(lines)")
            #expect(lines.allSatisfy { $0.contains("quote a value") })
        }
    }

    @Test func `text that is not UTF-8, and a file of more than 1 MiB, are refused`() {
        #expect(
            Self.problems(Array("site: a\nname: ".utf8) + [0xff, 0x0a])
                == ["agent.yaml:2: the text is not UTF-8; save the file as UTF-8"])
        #expect(Self.problems([0xff, 0xfe, 0x61, 0x00]).first?.contains("not UTF-8") == true)
        let large = [UInt8](repeating: UInt8(ascii: "#"), count: 1 << 20)
        #expect(Self.problems(large).isEmpty)
        #expect(Self.problems(large + [0x0a]) == ["agent.yaml: the file is larger than 1 MiB; a configuration is not"])
    }

    @Test func `deep nesting is refused`() {
        let open = String(repeating: "[", count: 900), close = String(repeating: "]", count: 900)
        #expect(Self.problems(Array("allow: \(open)\(close)".utf8)) == ["agent.yaml:1: nested too deeply"])
        let deeper = String(repeating: "[", count: 100_000)
        #expect(Self.problems(Array("allow: \(deeper)".utf8)).count == 1)
    }

    @Test func `no text ends the reader, and every error has the file's name`() {
        var random = Base.Random(Seed(10))
        let pieces = [
            "site", ": ", "- ", "\n", "[", "]", "{", "}", "\"", "'", "&a ", "*a", "!t ", "|\n", "  ", "label", "#", "?",
        ]
        for _ in 0..<3000 {
            let text = (0...random.index(below: 20)).map { _ in pieces[random.index(below: pieces.count)] }
                .joined()
            let lines = Self.problems(Array(text.utf8))
            #expect(lines.allSatisfy { $0.hasPrefix("agent.yaml:") }, "\(text): \(lines)")
        }
    }
}
