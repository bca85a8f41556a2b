import Base
import Health
import Testing

@Suite struct XMLReaderTests {
    private func events(_ text: String) throws -> [String] {
        var reader = try XMLReader(Array(text.utf8))
        var events: [String] = []
        while let event = try reader.next() {
            switch event {
            case .start: events.append("<\(reader.name)")
            case .end: events.append(">\(reader.name)")
            case .text: events.append(String(decoding: reader.text, as: UTF8.self))
            }
        }
        return events
    }

    @Test func `elements, text, entities, comments and CDATA are read`() throws {
        let text = """
            \u{feff}<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "b>c.dtd">\n<!-- <x> -->
            <a b="1" c='>'><d/>&lt;&amp;&#x41;&#66;<![CDATA[<&>]]><e ></e
            ></a>\n<!-- end -->
            """
        #expect(try events(text) == ["<a", "<d", ">d", "<&AB", "<&>", "<e", ">e", ">a"])
    }

    @Test func `attributes are found by name`() throws {
        var reader = try XMLReader(Array("<gpu  id = \"0000:01\" x='\"' ></gpu>".utf8))
        #expect(try reader.next() == .start)
        #expect(reader.attribute("id") == Array("0000:01".utf8))
        #expect(reader.attribute("x") == [UInt8(ascii: "\"")])
        #expect(reader.attribute("i") == nil)
    }

    @Test(arguments: [
        ("<a><b></a></b>", HealthError.Reason.malformed), ("<a>", .truncated), ("<a", .truncated), ("", .truncated),
        ("<a b=\"c", .truncated), ("<a><!-- ", .truncated), ("<a><![CDATA[x]]", .truncated), ("x<a/>", .malformed),
        ("<1/>", .malformed), ("<a b></a>", .malformed), ("</a>", .malformed), ("<a></ a>", .malformed),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", .unsupported), ("<!DOCTYPE a", .truncated),
        ("<a><!DOCTYPE a></a>", .malformed), ("<![CDATA[x]]><a/>", .malformed),
    ])
    func `what is not whole and well nested is refused`(text: String, reason: HealthError.Reason) {
        let error = #expect(throws: HealthError.self) { try events(text) }
        #expect(error?.reason == reason)
    }

    @Test func `depth is limited and long documents are refused unread`() throws {
        let deep = String(repeating: "<a>", count: 1_000_000)
        #expect(throws: HealthError.self) { try events(deep) }
        let fits = HealthLimits.xmlDepth
        #expect(try events(String(repeating: "<a>", count: fits) + String(repeating: "</a>", count: fits)).count == 64)
        let long = [UInt8](repeating: 32, count: HealthLimits.xmlBytes + 1)
        #expect(throws: HealthError(.tooLarge, "document", line: 1, "\(long.count) bytes")) { try XMLReader(long) }
    }
}

@Suite struct JSONReaderTests {
    private func string(_ text: String) throws -> String {
        var json = try JSONReader(Array(text.utf8))
        let string = try json.string()
        try json.expectEnd()
        return string
    }
    private func number(_ text: String) throws -> DecimalNumber {
        var json = try JSONReader(Array(text.utf8))
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
        var json = try JSONReader(Array("{\"a\":\n[1,\n{\"b\": tru}]}".utf8))
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
        #expect(error == HealthError(.malformed, "a[1].b", line: 3, at: 16, "true"))
    }

    @Test func `depth and keys are limited`() throws {
        var deep = try JSONReader([UInt8](repeating: UInt8(ascii: "["), count: 100_000))
        let error = #expect(throws: HealthError.self) {
            while true {
                try deep.beginArray()
                _ = try deep.nextElement()
            }
        }
        #expect(error?.reason == .tooLarge)
        let keys = (0...HealthLimits.jsonKeysPerObject).map { "\"\($0)\":0" }.joined(separator: ",")
        var wide = try JSONReader(Array("{\(keys)}".utf8))
        try wide.beginObject()
        let tooMany = #expect(throws: HealthError.self) {
            while try wide.nextKey() != nil { _ = try wide.number() }
        }
        #expect(tooMany?.reason == .tooLarge)
    }
}
