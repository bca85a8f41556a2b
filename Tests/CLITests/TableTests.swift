import Control
import Testing
import Wire

@testable import asterism

@Suite struct TableTests {
    private static let plain = Terminal(width: nil, hasColour: false)
    private static func wide(_ width: Int) -> Terminal { Terminal(width: width, hasColour: false) }

    private static let tables: [Table] = [
        Nodes.table(
            [Sample.node("gpu-7"), Sample.node("a-node-with-a-rather-long-name-of-its-own", .offline)], Sample.now),
        WorkerList.table([Sample.worker("trainer", .running), Sample.worker("other", .failed)], Sample.now),
        Peers.table([Sample.peer("gpu-7"), Sample.peer("日本語のノード")]),
        GPU.table([Sample.accelerator()]),
        TokenList.table([Sample.token(nil)], Sample.now),
    ]

    @Test(arguments: [40, 80, 120, 20])
    func `no line of a table is wider than the terminal`(_ width: Int) {
        for table in Self.tables {
            for line in table.render(Self.wide(width)).split(separator: "\n") {
                #expect(String(line).displayWidth <= width, "\(line)")
            }
        }
    }

    @Test func `without a terminal nothing is cut and no column is missing`() {
        for table in Self.tables {
            let lines = table.render(Self.plain).split(separator: "\n")
            #expect(lines.count == table.rows.count + 1)
            for column in table.columns { #expect(lines[0].contains(column.title)) }
            for (row, line) in zip(table.rows, lines.dropFirst()) {
                for cell in row { #expect(line.contains(cell.text)) }
            }
        }
    }

    @Test func `a narrow table loses its least important columns and keeps the first`() {
        let text = Nodes.table([Sample.node("gpu-7")], Sample.now).render(Self.wide(40))
        let head = text.split(separator: "\n")[0]
        #expect(head.hasPrefix("NAME") && head.contains("STATE"))
        #expect(!head.contains("ID") && !head.contains("ADDRESS"))
    }

    @Test func `columns align by display width, not by characters`() {
        var table = Table([.init("NAME"), .init("N", right: true)])
        table.add([.init("ab"), .init("1")])
        table.add([.init("日本"), .init("22")])
        table.add([.init("e\u{301}"), .init("333")])
        #expect(table.render(Self.plain) == "NAME    N\nab      1\n日本   22\ne\u{301}     333\n")
    }

    @Test func `what is cut off shows an ellipsis and splits no wide character`() {
        #expect("日本語".cut(to: 5) == "日本…")
        #expect("日本語".cut(to: 4) == "日…")
        #expect("abc".cut(to: 3) == "abc")
        #expect("abcd".cut(to: 1) == "…")
        #expect("👩‍🚀".displayWidth == 2)
    }

    @Test func `what a terminal would act on is shown as text`() {
        #expect("a\u{1b}[31mb".printable == "a\u{b7}[31mb")
        #expect("a\nb\u{202e}c".printable == "a b\u{b7}c")
        var table = Table([.init("NAME")])
        table.add([.init("\u{1b}]0;title\u{7}")])
        #expect(!table.render(Self.plain).contains("\u{1b}"))
    }

    @Test func `colour is added only where it is requested`() {
        let table = Nodes.table([Sample.node("gpu-7")], Sample.now)
        #expect(!table.render(Self.plain).contains("\u{1b}"))
        #expect(table.render(Terminal(width: 120, hasColour: true)).contains("\u{1b}[32monline\u{1b}[0m"))
    }
}
