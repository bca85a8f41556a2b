import Base
import Testing

@testable import asterism

@Suite struct UnitsTests {
    static let sizes: [(String, Int64)] = [
        ("0", 0), ("1024", 1024), ("2GiB", 2 << 30), ("512MiB", 512 << 20), ("1.5GiB", 3 << 29), ("64K", 64 << 10),
        ("1 KiB", 1024), ("10MB", 10_000_000), ("3kB", 3000), ("-1GiB", -(1 << 30)),
    ]

    @Test(arguments: sizes)
    func `a size is read exactly`(_ text: String, _ bytes: Int64) {
        #expect((try? Units.bytes(text)) == bytes)
    }

    @Test(arguments: [
        ("2Gib", "'Gib' is not a unit of size; did you mean 'GiB'?"),
        ("2 potatoes", "'potatoes' is not a unit of size; units are B, KiB, MiB, GiB, TiB, kB, MB, GB and TB"),
        ("many", "'many' is not a size; write bytes, or a number and a unit, as in 512MiB or 2GiB"),
        ("", "'' is not a size; write bytes, or a number and a unit, as in 512MiB or 2GiB"),
        ("1.GiB", "'1.GiB' is not a size; write bytes, or a number and a unit, as in 512MiB or 2GiB"),
        ("9999999999TiB", "'9999999999TiB' is too large"),
    ])
    func `a wrong size is refused with the reason`(_ text: String, _ message: String) {
        #expect(throws: Units.Problem(message: message)) { try Units.bytes(text) }
    }

    static let lengths: [(String, Int64)] = [
        ("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("-5s", -5), ("0", 0),
    ]

    @Test(arguments: lengths)
    func `a length of time is whole seconds`(_ text: String, _ seconds: Int64) {
        #expect((try? Units.seconds(text)) == seconds)
    }

    @Test(arguments: ["", "s", "10x", "1.5h", "10ms", "h1", "99999999999999999999s", "9999999999999999d", "-"])
    func `what is no length of time is refused`(_ text: String) {
        #expect(throws: Units.Problem.self) { try Units.seconds(text) }
    }

    static let processors: [(String, Int64)] = [
        ("1.5", 1500), ("2", 2000), ("0.25", 250), ("250m", 250), ("-1", -1000), ("-0.5", -500),
    ]

    @Test(arguments: processors)
    func `processors are thousandths`(_ text: String, _ millicores: Int64) {
        #expect((try? Units.millicores(text)) == millicores)
        #expect(throws: Units.Problem.self) { try Units.millicores("two") }
    }

    static let shown: [(Int64, String)] = [
        (0, "0B"), (812, "812B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (16 << 30, "16GiB"),
        (300 << 30, "300GiB"), (Int64.max, "8EiB"), (-2048, "-2KiB"),
    ]

    @Test(arguments: shown)
    func `a size is shown in its largest binary unit`(_ bytes: Int64, _ text: String) {
        #expect(Units.size(bytes) == text)
    }

    @Test func `an age is shown in its largest unit`() {
        let ages = [0, 3, 59, 60, 150, 3600, 86_399, 86_400, 864_000].map { Units.age(.seconds($0)) }
        #expect(ages == ["0s", "3s", "59s", "1m", "2m", "1h", "23h", "1d", "10d"])
        // A clock that is ahead of ours is no negative age.
        #expect(Units.age(.seconds(-5)) == "0s")
    }

    @Test func `a round trip keeps three figures`() {
        #expect(
            [84, 999, 1250, 12_050, 312_900].map { Units.roundTrip(microseconds: $0) }
                == ["84us", "999us", "1.25ms", "12.05ms", "312ms"])
    }

    @Test func `a near word is suggested and a far one is not`() {
        let keys = ["command", "environment", "limits", "restart"]
        #expect(Suggestion.nearest(to: "comand", in: keys) == "command")
        #expect(Suggestion.nearest(to: "Limits", in: keys) == "limits")
        #expect(Suggestion.nearest(to: "env", in: keys) == "environment")
        #expect(Suggestion.nearest(to: "volumes", in: keys) == nil)
    }
}
