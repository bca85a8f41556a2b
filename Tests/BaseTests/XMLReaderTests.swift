import Base
import Testing

@Suite struct XMLReaderTests {
    private func events(_ text: String) throws -> [String] {
        var reader = try XMLReader(Array(text.utf8), maximumBytes: 24 << 20)
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
        var reader = try XMLReader(Array("<gpu  id = \"0000:01\" x='\"' ></gpu>".utf8), maximumBytes: 100)
        #expect(try reader.next() == .start)
        #expect(reader.attribute("id") == Array("0000:01".utf8))
        #expect(reader.attribute("x") == [UInt8(ascii: "\"")])
        #expect(reader.attribute("i") == nil)
    }

    @Test(arguments: [
        ("<a><b></a></b>", XMLError.Reason.malformed), ("<a>", .truncated), ("<a", .truncated), ("", .truncated),
        ("<a b=\"c", .truncated), ("<a><!-- ", .truncated), ("<a><![CDATA[x]]", .truncated), ("x<a/>", .malformed),
        ("<1/>", .malformed), ("<a b></a>", .malformed), ("</a>", .malformed), ("<a></ a>", .malformed),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", .unsupported), ("<!DOCTYPE a", .truncated),
        ("<a><!DOCTYPE a></a>", .malformed), ("<![CDATA[x]]><a/>", .malformed),
    ])
    func `what is not whole and well nested is refused`(text: String, reason: XMLError.Reason) {
        let error = #expect(throws: XMLError.self) { try events(text) }
        #expect(error?.reason == reason)
    }

    @Test func `depth is limited and long documents are refused unread`() throws {
        let deep = String(repeating: "<a>", count: 1_000_000)
        #expect(throws: XMLError.self) { try events(deep) }
        let fits = 32
        #expect(try events(String(repeating: "<a>", count: fits) + String(repeating: "</a>", count: fits)).count == 64)
        let long = [UInt8](repeating: 32, count: 101)
        #expect(throws: XMLError(.tooLarge, "document", line: 1, "\(long.count) bytes")) {
            try XMLReader(long, maximumBytes: 100)
        }
    }
}
