import Base
import Foundation
import Fuzz
import Testing

/// What the fuzzer once found worth keeping is thrown again, and a share of new inputs with it. The long run is
/// `asterism-fuzz --iterations 10000000` in release.
@Suite struct FuzzTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fixtures/corpus/datagrams")

    /// The kept inputs of one folder, and how many files there are.
    private static func kept(in folder: URL) throws -> (inputs: [Kept], files: Int) {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path()).filter { $0.hasSuffix(".hex") }
        let inputs = try names.sorted().compactMap { name in
            Kept(file: name, text: try String(contentsOf: folder.appending(path: name), encoding: .utf8))
        }
        return (inputs, names.count)
    }

    @Test func `every kept input is dropped, answered or taken within the laws`() throws {
        var folders = [Self.folder]
        if let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"] {
            let more = URL(filePath: extra).appending(path: "corpus/datagrams")
            if FileManager.default.fileExists(atPath: more.path()) { folders.append(more) }
        }
        for folder in folders {
            let (inputs, files) = try Self.kept(in: folder)
            #expect(inputs.count == files && files > 50)
            let round = Round(seed: 1, number: 0)
            for input in inputs { try round.replay(input) }
            #expect(Set(inputs.map(\.variant)) == Set(Kept.Variant.allCases))
        }
    }

    @Test(arguments: UInt64(0)..<10)
    func `ten thousand hostile datagrams change nothing between honest nodes`(number: UInt64) throws {
        let round = Round(seed: 2, number: number)
        try round.run(10_000)
        #expect(round.tally.iterations == 10_000)
        // Both roads were travelled, or nothing was shown.
        #expect(round.tally.sessions > 10)
    }

    @Test(arguments: UInt64(1)...4)
    func `hostile input of the data plane has no effect`(seed: UInt64) throws {
        var fuzz = PlaneFuzz(seed: seed)
        try fuzz.run(5000)
        // All roads led somewhere, or nothing was shown.
        #expect(fuzz.done == 5000 && fuzz.sent > 1000 && fuzz.delivered > 1000)
    }

    @Test func `one seed throws the same datagrams twice`() throws {
        func fingerprint() throws -> Fingerprint {
            var print = Fingerprint()
            let round = Round(seed: 3, number: 1)
            round.watcher = { _, what, bytes in
                print.combine(what)
                print.combine(bytes)
            }
            try round.run(2000)
            return print
        }
        #expect(try fingerprint() == fingerprint())
    }
}
