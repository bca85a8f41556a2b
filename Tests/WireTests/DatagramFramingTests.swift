import Base
import Testing
import Wire

@Suite struct DatagramFramingTests {
    private static func frame(_ datagram: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        datagram.withUnsafeBytes { DatagramFraming.append($0, to: &bytes) }
        return bytes
    }
    private static func receive(_ framing: inout DatagramFraming, _ bytes: [UInt8]) throws -> [[UInt8]] {
        var all: [[UInt8]] = []
        try framing.receive(bytes) { all.append([UInt8]($0)) }
        return all
    }
    /// What a client writes for datagrams of these lengths.
    private static func stream(_ lengths: [Int]) -> (bytes: [UInt8], datagrams: [[UInt8]]) {
        let datagrams = lengths.enumerated().map { index, count in [UInt8](repeating: UInt8(index + 1), count: count) }
        return (DatagramFraming.greeting + datagrams.flatMap(frame), datagrams)
    }

    @Test func `a connection begins with a greeting, and each datagram comes after its length`() throws {
        #expect(DatagramFraming.greeting + Self.frame([9, 8, 7]) == (try golden("tcp-stream")))
    }

    @Test func `datagrams come out as they went in, wherever the stream is cut`() throws {
        let (bytes, datagrams) = Self.stream([1, 300, 2, DatagramFraming.limit, 77])
        for step in [1, 2, 3, 5, 299, 1460, bytes.count] {
            var framing = DatagramFraming(isServer: true)
            var all: [[UInt8]] = []
            for start in stride(from: 0, to: bytes.count, by: step) {
                all += try Self.receive(&framing, Array(bytes[start..<min(start + step, bytes.count)]))
            }
            #expect(all == datagrams && framing.pendingBytes == 0, "steps of \(step)")
        }
        // The one who connected awaits no greeting.
        var client = DatagramFraming(isServer: false)
        #expect(try Self.receive(&client, Self.frame([5, 6])) == [[5, 6]])
    }

    @Test func `a stream without the greeting is refused at the first wrong byte`() {
        for text in ["GET / HTTP/1.1\r\n", "A", "AS", "AST", "ASX", "AST\u{2}"] {
            var framing = DatagramFraming(isServer: true)
            let isGreeting = DatagramFraming.greeting.starts(with: Array(text.utf8))
            #expect((try? Self.receive(&framing, Array(text.utf8))) == (isGreeting ? [] : nil), "\(text)")
        }
    }

    @Test func `a length that no datagram has ends the stream`() {
        for length in [0, DatagramFraming.limit + 1, 65_535] {
            var framing = DatagramFraming(isServer: false)
            #expect(throws: DatagramFraming.Fault.badLength(length)) {
                try Self.receive(&framing, [UInt8(length >> 8), UInt8(length & 0xff)])
            }
        }
    }
}
