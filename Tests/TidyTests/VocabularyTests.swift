import Foundation
import Testing

/// The vocabulary of the project: the field's terms in place of private ones. A reader who knows the RFCs and the documentation
/// of Tailscale, WireGuard, Kubernetes and systemd meets no other word for what those name.
@Suite struct VocabularyTests {
    /// What is not written, and what is written instead. A word stands for its forms too: `told` is in identifiers as
    /// `isTold`.
    static let words: [(pattern: String, instead: String)] = [
        ("translators?", "NAT"),
        ("surveys?", "NAT discovery"),
        ("sights?", "reflexive address"),
        ("shots?", "hole-punch probe"),
        ("guess(es|ed|ing)?", "port prediction, estimate"),
        ("legs?", "relay allocation"),
        ("detours?", "relay chain"),
        ("hopeless", "negative cache"),
        ("wish(es|ed|ing)?", "desired"),
        ("want(s|ed|ing)?", "request, need, desired"),
        ("took", "applied, used, lasted"),
        ("tells?|told|telling", "report, inform"),
        ("says?|said|saying", "report, state"),
        ("hears?|heard|hearing", "receive"),
        ("lanes?", "shard, worker thread"),
        ("desks?", "handoff buffer"),
        ("newcomers?", "new node"),
        ("strangers?", "unauthenticated peer"),
        ("tellers?", "printer"),
        ("surroundings?", "delegate"),
        ("whoever", "anyone who"),
        ("whereabouts", "location"),
        ("in vain", "without effect"),
        ("by and by", "eventually"),
    ]
    /// Words of others, quoted: the text of test case 2 of RFC 4231, section 4.3.
    static let quoted = ["what do ya want for nothing?"]
    static let pattern = "\\b(" + words.map(\.pattern).joined(separator: "|") + ")\\b"

    /// A line as words: `isToldLater` is "is Told Later", and so are the parts of a path.
    static func spaced(_ line: String) throws -> String {
        let hump = try Regex(#"([a-z0-9])([A-Z])"#, as: (Substring, Substring, Substring).self)
        return line.replacing(hump) { "\($0.1) \($0.2)" }.replacing("_", with: " ")
    }

    static func found(in line: String, _ expression: Regex<AnyRegexOutput>) throws -> String? {
        let text = try spaced(line)
        return text.firstMatch(of: expression).map { String(text[$0.range]) }
    }

    @Test func `sources, tests and documents use the field's terms`() throws {
        let expression = try Regex(Self.pattern).ignoresCase()
        let suffixes = [".swift", ".md", ".h", ".c", ".proto", ".sh", ".yaml"]
        let readme = try String(contentsOf: Repository.root.appending(path: "README.md"), encoding: .utf8)
        let files =
            suffixes.flatMap { Repository.files(in: ["Sources", "Tests", ".github", "systemd"], suffix: $0) }
            + [SourceFile(path: "README.md", lines: readme.components(separatedBy: "\n"))]
        #expect(files.count > 500, "the scan finds no files")
        for file in files where !file.isGenerated && !file.path.hasSuffix("TidyTests/VocabularyTests.swift") {
            for (number, line) in file.lines.enumerated() where !Self.quoted.contains(where: line.contains) {
                guard let word = try Self.found(in: line, expression) else { continue }
                let instead = Self.words.first { word.wholeMatch(of: try! Regex($0.pattern).ignoresCase()) != nil }
                Issue.record("\(file):\(number + 1): '\(word)'; write \(instead?.instead ?? "another word")")
            }
        }
    }

    /// The scan sees a word in a comment, in a text and in a name, and not in a longer word.
    @Test(arguments: [
        ("/// The node is told.", true), ("let isTold = true", true), ("print(\"says no\")", true),
        ("/// A NAT that whoever asks", true), ("let planes = 2", false), ("/// An unsaid desktop", false),
        ("case swantson", false),
    ])
    func `the scan finds a planted word`(line: String, isFound: Bool) throws {
        let expression = try Regex(Self.pattern).ignoresCase()
        #expect(try (Self.found(in: line, expression) != nil) == isFound)
    }
}
