import Configuration
import Control
import Foundation
import Testing

/// The table of keys in the documentation is the one that the programs read.
@Suite struct DocumentationTests {
    private static let page = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/asterism/asterism.docc/Configuration.md")

    @Test(arguments: [0, 1]) func `every key is documented with its default, and whether a reload applies it`(
        index: Int
    ) throws {
        let program = DaemonStartTests.programs[index]
        let text = try String(contentsOf: Self.page, encoding: .utf8)
        let begin = try #require(text.range(of: "\n### `\(program.defaultFile)`"), "no section for \(program.name)")
        let section = text[begin.upperBound...].components(separatedBy: "\n#")[0]
        let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        let keys = program.keys.filter { !$0.isHidden }
        #expect(rows.map { $0[0] } == keys.map { "`\($0.name)`" })
        for (row, key) in zip(rows, keys) {
            let value = key.defaults.first.map { "`\($0)`" } ?? key.defaultNote ?? "none"
            #expect(row[1] == value, "\(key.name)")
            #expect(row[2] == (key.isReloaded ? "yes" : "no"), "\(key.name)")
            #expect(row.count == 4 && row[3].count > 10, "\(key.name) has no description")
        }
    }

    @Test func `the exit statuses of the daemons are documented`() throws {
        let text = try String(contentsOf: Self.page, encoding: .utf8)
        for status in Control.ExitStatus.allCases {
            guard let meaning = status.daemonMeaning else { continue }
            #expect(text.contains("| \(status.rawValue) | \(meaning)"), "\(status)")
        }
    }
}
