import Foundation
import Testing

/// Test vectors of other people: `Fixtures/<topic>`, then the folder of the same name in `ASTERISM_EXTRA_FIXTURES`.
struct Vectors {
    var file: String
    var root: [String: Any]

    static func all(_ topic: String, here: String = #filePath) throws -> [Vectors] {
        var folders = [
            URL(fileURLWithPath: here).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appendingPathComponent("Fixtures/\(topic)")
        ]
        if let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"], !extra.isEmpty {
            folders.append(URL(fileURLWithPath: extra).appendingPathComponent(topic))
        }
        var found: [Vectors] = []
        for folder in folders {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
            for name in names.sorted() where name.hasSuffix(".json") {
                let data = try Data(contentsOf: folder.appendingPathComponent(name))
                let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any], "\(name)")
                found.append(Vectors(file: name, root: root))
            }
        }
        return found
    }
}

/// How many vectors were run, and how many were not, by reason.
struct Tally: CustomStringConvertible {
    var title: String
    var run = 0
    var skipped: [String: Int] = [:]

    init(_ title: String) { self.title = title }

    mutating func skip(_ reason: String) { skipped[reason, default: 0] += 1 }

    var description: String {
        let reasons = skipped.sorted { $0.key < $1.key }.map { "\($0.value) skipped (\($0.key))" }
        return (["\(title): \(run) run"] + reasons).joined(separator: ", ")
    }
}

/// `#expect` for what is asked of noncopyable values, whose calls the macro cannot take apart.
func check(_ condition: Bool, _ comment: Comment? = nil, at location: SourceLocation = #_sourceLocation) {
    #expect(condition, comment, sourceLocation: location)
}

/// `#require`, likewise.
func unwrap<Value>(_ value: Value?, at location: SourceLocation = #_sourceLocation) throws -> Value {
    try #require(value, sourceLocation: location)
}
