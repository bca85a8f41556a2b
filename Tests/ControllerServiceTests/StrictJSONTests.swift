import Base
import Control
import Daemon
import Testing
import Wire

@Suite struct StrictJSONTests {
    static let syntax: [(String, Int, Int)] = [
        ("", 1, 1), ("  ", 1, 3), ("{", 1, 2), ("{\"a\":1,}", 1, 8), ("[1,]", 1, 4), ("[1 2]", 1, 4),
        ("{\"a\":1}\n{", 2, 1), ("{\"a\":1,\n \"a\":2}", 2, 2), ("nul", 1, 1), ("True", 1, 1), ("'a'", 1, 1),
        ("01", 1, 1), ("-", 1, 1), ("1.", 1, 1), ("1e", 1, 1), (".5", 1, 1), ("+1", 1, 1), ("NaN", 1, 1),
        ("\"a", 1, 1), ("\"a\tb\"", 1, 3), ("\"\\x\"", 1, 2), ("\"\\u12g4\"", 1, 2), ("\"\\ud800\"", 1, 2),
        ("\"\\ud800\\u0041\"", 1, 2), ("\"\\udc00\"", 1, 2), ("/* */1", 1, 1), ("\u{feff}1", 1, 1),
        (String(repeating: "[", count: 65), 1, 65),
    ]

    @Test(arguments: syntax.indices)
    func `what is not JSON is reported with its place`(index: Int) {
        let (text, line, column) = StrictJSONTests.syntax[index]
        let error = #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: Array(text.utf8)) }
        #expect(error?.line == line && error?.column == column, "\(text): \(String(describing: error))")
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        for bytes in [[0x22, 0xff, 0x22], [0x22, 0xc0, 0x80, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22]] as [[UInt8]] {
            #expect(throws: JSONSyntaxError.self) { try JSONValue(parsing: bytes) }
        }
    }

    @Test func `what is JSON is read as it is written, and written back`() throws {
        let text =
            #"{"a":[null,true,false,-0,18446744073709551615,-9223372036854775808,"\u00e9\ud83d\ude00\n\/\\\"é"],"b":{}}"#
        let value = try JSONValue(parsing: Array(text.utf8))
        guard case .array(let items)? = value["a"] else {
            Issue.record("no array")
            return
        }
        #expect(items[3...5] == [.number("-0"), .number("18446744073709551615"), .number("-9223372036854775808")])
        #expect(items[6] == .string("é😀\n/\\\"é"))
        let again = try JSONValue(parsing: StrictJSON.encode(value))
        #expect(again["a"] == .array(Array(items[..<3]) + [.number("0")] + Array(items[4...])))
        #expect(again["b"] == .object([]))
    }

    @Test func `deep and long documents end`() throws {
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        _ = try JSONValue(parsing: Array(deep.utf8))
        let pairs = (0..<40_000).map { #"{"name":"n\#($0)","value":""}"# }.joined(separator: ",")
        let text = #"{"spec":{"command":["a"],"labels":[\#(pairs)],"labelz":1}}"#
        let error = #expect(throws: StrictJSONError.self) {
            try StrictJSON.request(VerbMethod<ControllerRequest>(WorkersRun.self), parameters: Array(text.utf8))
        }
        #expect(error?.path == "spec.labelz" && error?.reason == .unknown)
    }

    /// A parser that reads what it should not, or not what it should, differs from itself when it reads what it wrote.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `whatever the bytes, they are refused or mean one thing`(seed: UInt64) throws {
        var random = Random(Seed(seed, 7, 0, 0)), accepted = 0
        let good = Array(#"{"spec":{"command":["a\u00e9\n","ü"],"x":[1,-2.5e3,true,null,{}]},"y":"\ud83d\ude00"}"#.utf8)
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0...random.next(below: 2) {
                let place = Int(random.next(below: UInt64(bytes.count)))
                if random.next(below: 2) == 0 {
                    bytes[place] = good[Int(random.next(below: UInt64(good.count)))]
                } else {
                    bytes[place] = UInt8(truncatingIfNeeded: random.next())
                }
            }
            guard let value = try? JSONValue(parsing: bytes) else { continue }
            accepted += 1
            let again = try JSONValue(parsing: StrictJSON.encode(value))
            #expect(StrictJSON.encode(again) == StrictJSON.encode(value))
        }
        #expect(accepted > 100)
    }

    static let faults: [(String, String)] = [
        ("1", "the document must be an object, not a number"), ("[]", "the document must be an object, not an array"),
        ("{}", "'spec' is missing"), (#"{"spec":null}"#, "'spec' must be an object, not null"),
        (#"{"spec":{}}"#, "'spec.command' is missing"),
        (#"{"spec":{"command":[]},"x":1}"#, "'x' is not known here"),
        (#"{"spec":{"command":[],"limits":{"memory":1}}}"#, "'spec.limits.memory' is not known here"),
        (#"{"spec":{"command":"ls"}}"#, "'spec.command' must be an array, not a string"),
        (#"{"spec":{"command":[null]}}"#, "'spec.command[0]' must be a string, not null"),
        (
            #"{"spec":{"command":[],"environment":[{"name":"A","value":"b"},{"name":"B","valu":"c"}]}}"#,
            "'spec.environment[1].valu' is not known here"
        ),
        (
            #"{"spec":{"command":[],"priority":"urgent"}}"#,
            "'spec.priority' must be one of high, normal, low, not 'urgent'"
        ),
        (
            #"{"spec":{"command":[],"restart":{"mode":"on-failure","maxRestarts":"3"}}}"#,
            "'spec.restart.maxRestarts' must be a whole number, not a string"
        ),
        (
            #"{"spec":{"command":[],"stop":{"graceSeconds":9223372036854775808}}}"#,
            "'spec.stop.graceSeconds' must be a whole number from -9223372036854775808 to 9223372036854775807, "
                + "not 9223372036854775808"
        ),
        (
            #"{"spec":{"command":[],"stop":{"graceSeconds":1e3}}}"#,
            "'spec.stop.graceSeconds' must be a whole number from -9223372036854775808 to 9223372036854775807, not 1e3"
        ),
    ]

    @Test(arguments: faults.indices)
    func `what is wrong is named by its path`(index: Int) {
        let (text, message) = StrictJSONTests.faults[index]
        let error = #expect(throws: StrictJSONError.self) {
            try StrictJSON.request(VerbMethod<ControllerRequest>(WorkersRun.self), parameters: Array(text.utf8))
        }
        #expect(error?.description == message)
        #expect(error?.apiError.code == .invalid)
    }

    @Test func `a method without parameters takes none`() throws {
        #expect(
            try StrictJSON.request(VerbMethod<ControllerRequest>(StatusGet.self), parameters: Array("{}".utf8))
                == .status)
        let error = #expect(throws: StrictJSONError.self) {
            try StrictJSON.request(VerbMethod<AgentRequest>(PeersList.self), parameters: Array(#"{"a":1}"#.utf8))
        }
        #expect(error?.description == "'a' is not known here")
    }

    @Test func `what is left out has its usual value`() throws {
        var expected = WorkerSpec(command: ["a"])
        #expect(try spec(#"{"command":["a"]}"#) == expected)
        expected.restart.maxRestarts = 3
        expected.limits.processes = 9
        #expect(
            try spec(#"{"command":["a"],"restart":{"maxRestarts":3,"mode":null},"limits":{"processes":9}}"#) == expected
        )
        #expect(try spec(String(decoding: StrictJSON.encode(expected), as: UTF8.self)) == expected)
    }

    private func spec(_ text: String) throws -> WorkerSpec { try StrictJSON.decode(from: Array(text.utf8)) }
}
