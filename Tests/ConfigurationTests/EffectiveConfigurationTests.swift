import Configuration
import Daemon
import Testing

/// The file and the command line together.
@Suite struct EffectiveConfigurationTests {
    private static func make(_ text: String, _ words: [String] = []) throws -> EffectiveConfiguration {
        let file = try ConfigurationFile(path: "/etc/a.yaml", Array(text.utf8), for: .agent)
        return EffectiveConfiguration(file, commandLine: words, for: .agent)
    }

    private static func texts(_ effective: EffectiveConfiguration, _ name: String) throws -> [String] {
        effective.values(of: try #require(DaemonProgram.agent.key(name))).map(\.text)
    }

    @Test func `the command line replaces the file's value, and lists whole`() throws {
        let text = "site: file\nallow: [icmp, 'tcp:80']\nlabel: {a: b}\nname: x"
        for words in [["--site", "flag", "--allow", "udp:53"], ["--site=flag", "--allow=udp:53"]] {
            let effective = try Self.make(text, words)
            #expect(effective.arguments == ["--label=a=b", "--name=x"] + words)
            #expect(try Self.texts(effective, "site") == ["flag"])
            #expect(try Self.texts(effective, "allow") == ["udp:53"])
            #expect(try Self.texts(effective, "label") == ["a=b"])
            #expect(try Self.texts(effective, "log-level") == ["info"])
            #expect(effective.isGiven("site") && effective.isGiven("label") && !effective.isGiven("log-level"))
        }
        // The last one counts; what stands behind an option is its value, whatever it looks like.
        #expect(try Self.texts(Self.make(text, ["--site", "a", "--site", "b"]), "site") == ["b"])
        #expect(try Self.texts(Self.make(text, ["--name", "allow"]), "allow") == ["icmp", "tcp:80"])
    }

    @Test func `an error has the place that its value is from`() throws {
        let effective = try Self.make("listen: x\nallow:\n  - icmp\n  - bad\n", ["--site", "!"])
        func text(_ option: String, _ index: Int? = nil) -> String {
            effective.describe(StartError(option, "wrong", index: index))
        }
        #expect(text("--listen") == "/etc/a.yaml:1: listen: wrong")
        #expect(text("--allow", 1) == "/etc/a.yaml:4: allow: wrong")
        #expect(text("--site") == "--site: wrong")
        #expect(text("--data") == "--data: wrong")
        #expect(text("signals") == "signals: wrong")
    }

    @Test func `what is printed has every key with its origin, and can be read again`() throws {
        let text = """
            log-level: debug
            label: {zone: a, note: "x: #1"}
            allow:
              - icmp
            stun: []
            tool: "/opt/with \\"quotes\\" and \\\\"
            """
        let effective = try Self.make(text, ["--site", "-s", "--listen", "[::]:7950", "--tcp-listen", "192.0.2.1:443"])
        let lines = effective.printed.split(separator: "\n").map(String.init)
        for line in [
            "log-level: debug  # /etc/a.yaml:1", "site: \"-s\"  # flag", "listen: \"[::]:7950\"  # flag",
            "  - zone=a  # /etc/a.yaml:2", "  - \"note=x: #1\"  # /etc/a.yaml:2", "  - icmp  # /etc/a.yaml:4",
            "stun: []  # /etc/a.yaml", "data: /var/lib/asterism  # default", "# name:  # default: the host's name",
            "overlay-interface: asterism%d  # default", "  - 192.0.2.1:443  # flag", "data-plane-threads: 1  # default",
            #"tool: /opt/with "quotes" and \  # /etc/a.yaml:6"#,
        ] { #expect(lines.contains(line), "\(line) is not in\n\(effective.printed)") }
        #expect(!effective.printed.contains("debug-rekey-seconds"))
        let again = try Self.make(effective.printed)
        for key in DaemonProgram.agent.keys {
            #expect(again.values(of: key).map(\.text) == effective.values(of: key).map(\.text), "\(key.name)")
            if !key.isHidden { #expect(effective.printed.contains("\(key.name):"), "\(key.name)") }
        }
    }

    @Test func `hostile values survive printing and reading`() throws {
        let values = [
            "", " a", "a ", "null", "~", "- x", "a: b", "a #b", "'", "\"", "\\", "{", "[", "a\nb", "a\tb", "ü", "%",
            "@",
            "`", "!", "&", "*", "? x", "a:", "|", ">", "#", "\u{85}", "\u{feff}x",
        ]
        for value in values {
            let effective = try Self.make("", ["--tool", value])
            let again = try Self.make(effective.printed)
            #expect(try Self.texts(again, "tool") == [value], "\(effective.printed)")
        }
    }

    @Test func `a reload knows what has changed and what needs a restart`() throws {
        let old = try Self.make("log-level: info\nlisten: 127.0.0.1:1\nallow: [icmp]", ["--site", "a"])
        let new = try Self.make("log-level: debug\nlisten: 127.0.0.1:2\nsite: b", ["--site", "a"])
        #expect(new.changed(from: old).map(\.name) == ["listen", "allow", "log-level"])
        let kept = new.keeping(old)
        #expect(kept.changed(from: old).map(\.name) == ["allow", "log-level"])
        #expect(new.changed(from: kept).map(\.name) == ["listen"])
        #expect(old.changed(from: old).isEmpty)
    }
}
