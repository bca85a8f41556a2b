import Base
import Foundation
import Testing
import Wire

@Suite struct StreamFrameTests {
    static let samples: [(name: String, frame: Frame)] = [
        ("padding", .padding), ("ping", .ping),
        ("ack", .ack(AckFrame(ranges: [90...100, 70...80, 5...5], delayMicroseconds: 1250))),
        (
            "ack-ecn",
            .ack(
                AckFrame(
                    ranges: [20_000...20_001], delayMicroseconds: 0, ecn: AckFrame.ECN(ect0: 1, ect1: 200, ce: 70_000)))
        ),
        ("reset-stream", .resetStream(StreamID(rawValue: 5), code: 77, finalSize: 123_456)),
        ("stop-sending", .stopSending(StreamID(rawValue: 6), code: 1)),
        ("stream", .stream(StreamID(rawValue: 4), offset: 1_000_000, bytes: Array("asterism".utf8), isLast: false)),
        ("stream-last", .stream(StreamID(rawValue: 1), offset: 0, bytes: [], isLast: true)),
        ("max-data", .maxData(Frame.maxOffset)), ("max-stream-data", .maxStreamData(StreamID(rawValue: 2), 1 << 20)),
        ("max-streams", .maxStreams(Frame.maxStreamCount)), ("data-blocked", .dataBlocked(1 << 21)),
        ("stream-data-blocked", .streamDataBlocked(StreamID(rawValue: 300), 64)),
        ("streams-blocked", .streamsBlocked(1024)),
    ]

    @Test func `every frame has the bytes of its golden file and is read back`() throws {
        for (name, frame) in StreamFrameTests.samples {
            var writer = ByteWriter()
            frame.write(to: &writer)
            let golden = try hexFile(fixtures.appending(path: "stream-\(name).hex"))
            #expect(writer.bytes.hex == golden.hex, "\(name)")
            #expect(try read(golden) == frame, "\(name)")
        }
    }

    @Test func `every golden file is a frame`() throws {
        var folders = [fixtures]
        if let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"] {
            folders.append(URL(filePath: extra).appending(path: "wire"))
        }
        for folder in folders {
            let files =
                (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
            for file in files where file.lastPathComponent.hasPrefix("stream-") && file.pathExtension == "hex" {
                let frame = try read(try hexFile(file))
                var writer = ByteWriter()
                frame.write(to: &writer)
                #expect(try read(writer.bytes) == frame, "\(file.lastPathComponent)")
            }
        }
    }

    @Test(arguments: [
        ("07", DecodeError(.invalidValue, "frame type", at: 0)),
        ("20", DecodeError(.invalidValue, "frame type", at: 0)),
        ("", DecodeError(.truncated, "frame type", at: 0)),
        ("08040003aabb", DecodeError(.truncated, "stream data", at: 4)),
        // An offset so high that its bytes end beyond 2^62 - 1.
        ("0804ffffffffffffffff01aa", DecodeError(.invalidValue, "stream offset", at: 2)),
        ("0205000006", DecodeError(.invalidValue, "first ack range", at: 3)),
        ("020500010304", DecodeError(.truncated, "ack range", at: 6)),
        ("02050001030100", DecodeError(.invalidValue, "ack range", at: 5)),
        ("0205002000", DecodeError(.tooLong, "ack ranges", at: 3)),
        ("12d000000000000001", DecodeError(.invalidValue, "max streams", at: 1)),
        ("05ffffffffffffffff00", DecodeError(.invalidValue, "stream id", at: 1)),
    ])
    func `what is no frame is an error with its place`(hex: String, error: DecodeError) {
        #expect(throws: error) { try read([UInt8](hex: hex)!) }
    }

    @Test func `a stream frame of the calculated size fits, and no larger one would`() {
        let id = StreamID(rawValue: 77)
        for room in Array(0...300) + Array(16_300...16_500) {
            guard let count = Frame.streamCapacity(id, offset: 500_000, room: room) else {
                #expect(room < 8)
                continue
            }
            func size(_ count: Int) -> Int {
                var writer = ByteWriter()
                Frame.writeStreamHeader(id, offset: 500_000, count: count, isLast: true, to: &writer)
                return writer.count + count
            }
            #expect(size(count) <= room)
            #expect(size(count + 1) > room)
        }
    }

    @Test func `a million mutated frames are read or refused, never a trap`() {
        var random = Random(Seed(2062))
        let originals = StreamFrameTests.samples.map { sample in
            var writer = ByteWriter()
            sample.frame.write(to: &writer)
            return writer.bytes
        }
        var accepted = 0
        for _ in 0..<1_000_000 {
            var bytes = originals[random.index(below: originals.count)]
            for _ in 0...random.index(below: 3) {
                let byte = UInt8(truncatingIfNeeded: random.next())
                switch random.index(below: 4) {
                case 0: bytes.append(byte)
                case 1: if !bytes.isEmpty { bytes.removeLast() }
                default: if !bytes.isEmpty { bytes[random.index(below: bytes.count)] = byte }
                }
            }
            if let frame = try? read(bytes) {
                accepted += 1
                // Reading it again from what it writes shows whether it is valid; one in a hundred is enough.
                if accepted % 100 == 0 {
                    var writer = ByteWriter()
                    frame.write(to: &writer)
                    #expect((try? read(writer.bytes)) == frame)
                }
            }
        }
        #expect(accepted > 100_000)
    }

    private func read(_ bytes: [UInt8]) throws(DecodeError) -> Frame {
        var reader = ByteReader(bytes.span.bytes)
        return try Frame(reading: &reader)
    }

    private func hexFile(_ url: URL) throws -> [UInt8] {
        let text = try String(contentsOf: url, encoding: .utf8)
        return try #require([UInt8](hex: text.filter { !$0.isWhitespace }))
    }

    private var fixtures: URL {
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/wire")
    }
}
