/// Walks over the lines and words of a /proc file without copying any of it. It shares the buffer's storage, so it must be
/// released before the buffer is filled again; otherwise the fill copies.
struct TextCursor {
    let bytes: [UInt8]
    /// What is left of the file.
    private var rest: Range<Int>
    /// What is left of the line.
    private var line: Range<Int>

    init(_ bytes: [UInt8], count: Int) {
        self.bytes = bytes
        rest = 0..<min(count, bytes.count)
        line = 0..<0
    }

    /// Goes to the next line, whether or not this one was read to its end; false at the end of the file.
    mutating func nextLine() -> Bool {
        guard !rest.isEmpty else { return false }
        let end = bytes[rest].firstIndex(of: UInt8(ascii: "\n")) ?? rest.upperBound
        line = rest.lowerBound..<end
        rest = min(end + 1, rest.upperBound)..<rest.upperBound
        return true
    }

    /// The next run of bytes that are neither blank nor tab.
    mutating func word() -> Range<Int>? {
        var start = line.lowerBound
        while start < line.upperBound, bytes[start].isBlank { start += 1 }
        var end = start
        while end < line.upperBound, !bytes[end].isBlank { end += 1 }
        line = end..<line.upperBound
        return start < end ? start..<end : nil
    }

    /// The rest of the line without blanks at its ends.
    mutating func remainder() -> Range<Int> {
        var range = line
        line = line.upperBound..<line.upperBound
        while !range.isEmpty, bytes[range.lowerBound].isBlank { range = range.lowerBound + 1..<range.upperBound }
        while !range.isEmpty, bytes[range.upperBound - 1].isBlank { range = range.lowerBound..<range.upperBound - 1 }
        return range
    }

    /// The next word as a number times ten to the power; the whole word must be one.
    mutating func number(power: Int = 0) -> Int64? {
        guard let word = word() else { return nil }
        return number(in: word, power: power)
    }
    func number(in word: Range<Int>, power: Int = 0) -> Int64? {
        var range = word
        guard let number = DecimalNumber(readingFrom: bytes, &range), range.isEmpty else { return nil }
        return number.scaled(byPowerOfTen: power)
    }

    func matches(_ range: Range<Int>, _ literal: StaticString) -> Bool {
        range.count == literal.utf8CodeUnitCount && starts(range, literal)
    }
    func starts(_ range: Range<Int>, _ literal: StaticString) -> Bool {
        let count = literal.utf8CodeUnitCount
        guard range.count >= count else { return false }
        return literal.withUTF8Buffer { expected in
            for index in 0..<count where bytes[range.lowerBound + index] != expected[index] { return false }
            return true
        }
    }
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}
