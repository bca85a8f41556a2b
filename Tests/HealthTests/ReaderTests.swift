import Base
import Health
import Testing

@Suite struct ContractReaderTests {
    private func string(_ text: String) throws -> String {
        var json = try ContractReader(Array(text.utf8))
        let string = try json.string()
        try json.expectEnd()
        return string
    }
    private func number(_ text: String) throws -> DecimalNumber {
        var json = try ContractReader(Array(text.utf8))
        let number = try json.number()
        try json.expectEnd()
        return number
    }

    @Test func `strings are read with every escape`() throws {
        #expect(try string(#" "a\"\\\/\b\f\n\r\t\u00e9\ud83d\udd25é" "#) == "a\"\\/\u{8}\u{c}\n\r\té🔥é")
        for bad in [
            #""\x""#, #""\u12""#, #""\u+123""#, #""\ud800x""#, #""\ud800\u0041""#, #""\udc00""#, "\"\n\"", #""\"#, "\"",
        ] {
            #expect(throws: HealthError.self, "\(bad)") { try string(bad) }
        }
        #expect(throws: HealthError.self) { try string("\"" + String(repeating: "x", count: 257) + "\"") }
    }

    @Test func `numbers are exact and giant ones cost nothing`() throws {
        #expect(try number("67.03").scaled(byPowerOfTen: 3) == 67030)
        #expect(try number("-0.0005").scaled(byPowerOfTen: 3) == -1)
        #expect(try number("0.00049").scaled(byPowerOfTen: 3) == 0)
        #expect(try number("9223372036854775807").whole == .max)
        #expect(try number("-9223372036854775807").whole == -.max)
        #expect(try number("9223372036854775808").whole == nil)
        #expect(try number("1e18").whole == 1_000_000_000_000_000_000)
        #expect(try number("1e19").whole == nil)
        #expect(try number("1E-400000000000000000000").scaled(byPowerOfTen: 3) == 0)
        #expect(try number("1e400000000000000000000").scaled(byPowerOfTen: 3) == nil)
        #expect(try number("0e400000000000000000000").whole == 0)
        #expect(try number("1.50e1").whole == 15)
        #expect(try number("1.55e1").whole == nil)
        for bad in ["", "-", "+1", ".5", "5.", "01", "-01", "1e", "1e+", "0x10", "1.2.3", "--1", "NaN", "Infinity"] {
            #expect(throws: HealthError.self, "\(bad)") { try number(bad) }
        }
    }

    @Test func `an error names path, line and byte`() throws {
        var json = try ContractReader(Array("{\"a\":\n[1,\n{\"b\": tru}]}".utf8))
        let error = #expect(throws: HealthError.self) {
            try json.beginObject()
            #expect(try json.nextKey() == "a")
            try json.beginArray()
            #expect(try json.nextElement())
            _ = try json.number()
            #expect(try json.nextElement())
            try json.beginObject()
            #expect(try json.nextKey() == "b")
            _ = try json.boolean()
        }
        #expect(error == HealthError(.malformed, "a[1].b", line: 3, at: 16, "expected true"))
    }

    @Test func `depth and keys are limited`() throws {
        var deep = try ContractReader([UInt8](repeating: UInt8(ascii: "["), count: 100_000))
        let error = #expect(throws: HealthError.self) {
            while true {
                try deep.beginArray()
                _ = try deep.nextElement()
            }
        }
        #expect(error?.reason == .tooLarge)
        let keys = (0...HealthLimits.jsonKeysPerObject).map { "\"\($0)\":0" }.joined(separator: ",")
        var wide = try ContractReader(Array("{\(keys)}".utf8))
        try wide.beginObject()
        let tooMany = #expect(throws: HealthError.self) {
            while try wide.nextKey() != nil { _ = try wide.number() }
        }
        #expect(tooMany?.reason == .tooLarge)
    }
}
