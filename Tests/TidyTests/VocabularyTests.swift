import Foundation
import Testing

/// The vocabulary of the project: the field's terms in place of private ones. A reader who knows the RFCs and the
/// documentation of Tailscale, WireGuard, Kubernetes and systemd meets no other word for what those name.
@Suite struct VocabularyTests {
    /// What is not written, and what is written instead.
    static let words: [(forms: String, instead: String)] = [
        ("translator translators", "NAT"),
        ("survey surveys", "NAT discovery"),
        ("sight sights", "reflexive address"),
        ("shot shots", "hole-punch probe"),
        ("guess guesses guessed guessing", "port prediction, estimate"),
        ("leg legs", "relay allocation"),
        ("detour detours", "relay chain"),
        ("hopeless", "negative cache"),
        ("wish wishes wished wishing", "desired"),
        ("want wants wanted wanting", "request, need, desired"),
        ("took", "applied, used, lasted"),
        ("tell tells told telling", "report, inform"),
        ("say says said saying", "report, state"),
        ("hear hears heard hearing", "receive"),
        ("lane lanes", "shard, worker thread"),
        ("desk desks", "handoff buffer"),
        ("newcomer newcomers", "new node"),
        ("stranger strangers", "unauthenticated peer"),
        ("teller tellers", "printer"),
        ("surroundings", "delegate"),
        ("whoever", "anyone who"),
        ("whereabouts", "location"),
    ]
    static let phrases = ["in vain": "without effect", "by and by": "eventually"]
    /// The words that phrases end with: only where one is found the line is searched for the phrase.
    static let lastWords = Set(phrases.keys.map { Array($0.split(separator: " ").last!.utf8) })
    /// Words of others, quoted: the text of test case 2 of RFC 4231, section 4.3.
    static let quoted = ["what do ya want for nothing?"]
    static let instead: [[UInt8]: String] = {
        let pairs = words.flatMap { entry in entry.forms.split(separator: " ").map { (Array($0.utf8), entry.instead) } }
        return Dictionary(uniqueKeysWithValues: pairs)
    }()

    /// The first such word, and what is written instead. Parts of identifiers are words: `isToldLater` has `Told`.
    static func found(in line: String) -> (word: String, instead: String)? {
        var word: [UInt8] = [], isLower = false, mayEndPhrase = false
        func end() -> (word: String, instead: String)? {
            defer { word.removeAll(keepingCapacity: true) }
            if lastWords.contains(word) { mayEndPhrase = true }
            return instead[word].map { (String(decoding: word, as: UTF8.self), $0) }
        }
        for byte in line.utf8 {
            let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            let isLetter = isCapital || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            if !word.isEmpty, !isLetter || isCapital && isLower, let found = end() { return found }
            if isLetter { word.append(byte | 0x20) }
            isLower = isLetter && !isCapital
        }
        if let found = end() { return found }
        return mayEndPhrase ? phrases.first { line.contains($0.key) }.map { ($0.key, $0.value) } : nil
    }

    @Test func `sources, tests and documents use the field's terms`() throws {
        let suffixes = [".swift", ".md", ".h", ".c", ".proto", ".sh", ".yaml"]
        let readme = try String(contentsOf: Repository.root.appending(path: "README.md"), encoding: .utf8)
        let files =
            suffixes.flatMap { Repository.files(in: ["Sources", "Tests", ".github", "systemd"], suffix: $0) }
            + [SourceFile(path: "README.md", lines: readme.components(separatedBy: "\n"))]
        #expect(files.count > 500, "the scan finds no files")
        for file in files where !file.isGenerated && !file.path.hasSuffix("TidyTests/VocabularyTests.swift") {
            for (number, line) in file.lines.enumerated() {
                guard let (word, instead) = Self.found(in: line) else { continue }
                if Self.quoted.contains(where: line.contains) { continue }
                Issue.record("\(file):\(number + 1): '\(word)'; write \(instead)")
            }
        }
    }

    /// The scan sees a word in a comment, in a text and in a name, and not in a longer word.
    @Test(arguments: [
        ("/// The node is told.", true), ("let isTold = true", true), ("print(\"says no\")", true),
        ("/// A NAT that whoever asks", true), ("/// It waits in vain.", true), ("let TOOK_LONG = 1", true),
        ("let planes = 2", false), ("/// An unsaid desktop", false), ("case swantson", false),
    ])
    func `the scan finds a planted word`(line: String, isFound: Bool) {
        #expect((Self.found(in: line) != nil) == isFound)
    }
}
