import Base
import Foundation
import Testing

/// Files byte for byte, and read back by the rules of the draft.
@Suite struct PcapngTests {
    private static func sample() -> [UInt8] {
        var file = Pcapng(application: "asterism test")
        file.interface("inner", "in clear", linkType: Pcapng.raw)
        file.interface("outer", "sealed", linkType: Pcapng.raw)
        let time: UInt64 = 0x1877_6655_4433_2211
        file.packet([0x45, 0, 0, 5, 7], interface: 0, at: time, isOutward: true, comment: "out to a")
        file.packet([0x60, 1, 2, 3], interface: 1, at: time + 1, isOutward: false, comment: "in from b, näher")
        file.packet([], interface: 1, at: time + 2, isOutward: false, comment: "")
        file.statistics(interface: 0, from: 1 << 32 | 5, to: time, received: 1, dropped: 0)
        file.statistics(interface: 1, from: 1 << 32 | 5, to: time, received: 1 << 33, dropped: 7)
        return file.bytes
    }

    /// The bytes of the draft's structures, made once by hand from the draft and kept.
    @Test func `a file has these bytes`() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/pcapng")
        let text = try String(contentsOf: root.appending(path: "sample.hex"), encoding: .utf8)
        let golden = text.split(separator: "\n").map { $0.prefix { $0 != "#" } }.joined().filter { !$0.isWhitespace }
        let bytes = Self.sample()
        #expect(bytes.hex == golden)
    }

    @Test func `blocks follow each other, with their lengths before and behind them`() {
        let bytes = Self.sample()
        func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) } }
        var offset = 0, types: [Int] = []
        while offset < bytes.count {
            let length = word(offset + 4)
            #expect(length % 4 == 0 && length >= 12 && offset + length <= bytes.count)
            guard length >= 12, offset + length <= bytes.count else { return }
            #expect(word(offset + length - 4) == length)
            types.append(word(offset))
            offset += length
        }
        #expect(types == [0x0a0d_0d0a, 1, 1, 6, 6, 6, 5, 5])
    }

    @Test func `it is taken out in pieces, which are whole blocks`() {
        var file = Pcapng(application: "asterism test")
        let first = file.take()
        file.interface("inner", "in clear", linkType: Pcapng.raw)
        let second = file.take()
        #expect(file.bytes.isEmpty && first.count % 4 == 0 && second.count % 4 == 0)
        #expect(Self.sample().starts(with: first + second))
    }
}
