import Base
import Mesh
import Testing
import Wire

/// What a broken or hostile peer sends is an error or is ignored, costs bounded memory, and never traps.
@Suite struct StreamHostileTests {
    private static let now = Instant.origin + .seconds(1)
    private static let theirs = StreamID(sequence: 0, opener: 1)
    private static let far: UInt64 = 1 << 61

    private struct Target {
        var mux: StreamMux
        var events: [StreamEvent] = []
        var number: UInt64 = 0

        init(_ limits: StreamLimits = StreamLimits()) {
            mux = StreamMux(role: .lower, limits: limits, now: StreamHostileTests.now)
        }

        mutating func send(_ frames: Frame...) -> StreamError? { send(frames) }
        mutating func send(_ frames: [Frame]) -> StreamError? {
            number += 1
            return deliver(StreamHostileTests.packet(number, frames))
        }
        mutating func deliver(_ bytes: [UInt8]) -> StreamError? {
            var reader = ByteReader(bytes.span.bytes)
            do throws(StreamError) {
                _ = try mux.received(&reader, now: StreamHostileTests.now, into: &events)
                return nil
            } catch { return error }
        }
        mutating func read(_ id: StreamID) -> ReadResult { mux.read(id, into: &events) }
        mutating func open(writing bytes: [UInt8]) -> StreamID {
            let id = mux.open()!
            _ = mux.write(bytes, to: id)
            return id
        }
        mutating func transmit() -> [UInt8]? {
            var writer = ByteWriter()
            return mux.transmit(limit: 1200, now: StreamHostileTests.now, into: &writer) == nil ? nil : writer.bytes
        }
    }

    private static func packet(_ number: UInt64, _ frames: [Frame]) -> [UInt8] {
        var writer = ByteWriter()
        writer.varint(number)
        for frame in frames { frame.write(to: &writer) }
        return writer.bytes
    }

    @Test func `offsets beyond the windows are flow control errors`() {
        let id = StreamHostileTests.theirs, window = StreamAllowance().streamWindow
        var target = Target()
        #expect(target.send(.stream(id, offset: window - 1, bytes: [1], isLast: false)) == nil)
        #expect(target.send(.stream(id, offset: window, bytes: [1], isLast: false)) == .flowControl(id))
        target = Target()
        #expect(target.send(.stream(id, offset: Frame.maxOffset, bytes: [], isLast: true)) == .flowControl(id))
        target = Target()
        #expect(target.send(.resetStream(id, code: 0, finalSize: StreamHostileTests.far)) == .flowControl(id))

        // Three streams fit their own windows, but not all together the connection's.
        target = Target()
        for sequence: UInt64 in 0...2 {
            let id = StreamID(sequence: sequence, opener: 1)
            let error = target.send(.stream(id, offset: window - 1, bytes: [1], isLast: false))
            #expect(error == (sequence == 2 ? .flowControl(id) : nil))
        }
    }

    @Test func `an end that moves is an error`() {
        let id = StreamHostileTests.theirs
        let ended: [Frame] = [.stream(id, offset: 10, bytes: [1, 2], isLast: true)]
        for bad: Frame in [
            .stream(id, offset: 12, bytes: [1], isLast: false), .stream(id, offset: 0, bytes: [1], isLast: true),
            .stream(id, offset: 13, bytes: [], isLast: true), .resetStream(id, code: 1, finalSize: 13),
            .resetStream(id, code: 1, finalSize: 11),
        ] {
            var target = Target()
            #expect(target.send(ended) == nil)
            #expect(target.send(ended) == nil)
            #expect(target.send(bad) == .finalSize(id))
        }
        var target = Target()
        #expect(target.send(.stream(id, offset: 100, bytes: [1], isLast: false)) == nil)
        #expect(target.send(.stream(id, offset: 0, bytes: [1], isLast: true)) == .finalSize(id))
    }

    @Test func `too many streams and streams that were never opened are errors`() {
        let count = StreamAllowance().streams
        var target = Target()
        let last = StreamID(sequence: count - 1, opener: 1), next = StreamID(sequence: count, opener: 1)
        #expect(target.send(.stream(last, offset: 0, bytes: [], isLast: false)) == nil)
        #expect(target.mux.openCount == Int(count))
        #expect(target.events.count == Int(count))
        #expect(target.send(.stopSending(next, code: 1)) == .streamLimit(next))
        let ours = StreamID(sequence: 0, opener: 0)
        target = Target()
        #expect(target.send(.stream(ours, offset: 0, bytes: [1], isLast: false)) == .streamState(ours))
        #expect(target.send(.maxStreamData(ours, 1)) == .streamState(ours))
    }

    @Test func `an acknowledgement of what was never sent is an error`() {
        var target = Target()
        #expect(target.send(.ack(AckFrame(ranges: [0...0], delayMicroseconds: 0))) == .unsentAcknowledged(0))
        _ = target.open(writing: [1])
        #expect(target.transmit() != nil)
        #expect(target.send(.ack(AckFrame(ranges: [0...0], delayMicroseconds: Frame.maxOffset))) == nil)
        #expect(target.send(.ack(AckFrame(ranges: [0...0], delayMicroseconds: 0))) == nil)
        #expect(
            target.send(.ack(AckFrame(ranges: [Frame.maxOffset...Frame.maxOffset], delayMicroseconds: 0)))
                == .unsentAcknowledged(Frame.maxOffset))
    }

    @Test func `a packet number counts once`() {
        let id = StreamHostileTests.theirs
        var target = Target()
        let bytes = StreamHostileTests.packet(7, [.stream(id, offset: 0, bytes: [1, 2, 3], isLast: false)])
        #expect(target.deliver(bytes) == nil)
        #expect(target.read(id).bytes == [1, 2, 3])
        #expect(target.deliver(bytes) == nil)
        #expect(target.mux.counters.duplicates == 1 && target.read(id).bytes == [])
    }

    @Test func `overlapping pieces in any order make one stream`() {
        let id = StreamHostileTests.theirs
        for seed: UInt64 in 1...50 {
            var random = Random(Seed(seed)), target = Target()
            let size = 1 + random.index(below: 60_000)
            let whole = Array(StreamPattern.bytes(id, at: 0, count: size))
            var read: [UInt8] = [], isFinished = false
            var pieces: [Range<Int>] = stride(from: 0, to: size, by: 900).map { $0..<min($0 + 900, size) }
            for _ in 0..<40 {
                let start = random.index(below: size)
                pieces.append(start..<start + random.index(below: size - start + 1))
            }
            random.shuffle(&pieces)
            for piece in pieces {
                let error = target.send(
                    .stream(
                        id, offset: UInt64(piece.lowerBound), bytes: Array(whole[piece]),
                        isLast: piece.upperBound == size))
                #expect(error == nil)
                if random.chance(1, in: 3), !isFinished {
                    let result = target.mux.read(id, limit: random.index(below: 30_000), into: &target.events)
                    read += result.bytes
                    isFinished = result.isFinished
                }
            }
            if !isFinished {
                let result = target.read(id)
                read += result.bytes
                isFinished = result.isFinished
            }
            #expect(isFinished && read == whole)
        }
    }

    @Test func `fragments between holes are bounded, and filling the holes always continues`() {
        var limits = StreamLimits()
        limits.streamFragments = 100
        limits.fragments = 150
        let id = StreamHostileTests.theirs
        var target = Target(limits)
        for index: UInt64 in 0..<1000 {
            #expect(target.send(.stream(id, offset: index * 2 + 1, bytes: [UInt8(index & 255)], isLast: false)) == nil)
        }
        #expect(target.mux.counters.fragmentsRefused == 900)
        let other = StreamID(sequence: 1, opener: 1)
        for index: UInt64 in 0..<100 {
            #expect(target.send(.stream(other, offset: index * 2 + 1, bytes: [0], isLast: false)) == nil)
        }
        #expect(target.mux.counters.fragmentsRefused == 950)
        #expect(target.send(.stream(id, offset: 0, bytes: [UInt8](repeating: 1, count: 2000), isLast: true)) == nil)
        #expect(target.read(id).bytes.count == 2000)
        for index: UInt64 in 50..<100 {
            #expect(target.send(.stream(other, offset: index * 2 + 1, bytes: [0], isLast: false)) == nil)
        }
        #expect(target.mux.counters.fragmentsRefused == 950)
    }

    @Test func `frames for a closed stream are counted and ignored`() {
        let pair = StreamPair(), traffic = StreamTraffic(pair)
        traffic.answer = 0
        let id = traffic.open(0, sending: 5)!
        pair.run(for: .seconds(2))
        #expect(traffic.closed == [[id], [id]])
        let stale: [Frame] = [
            .stream(id, offset: 0, bytes: [9, 9], isLast: false), .resetStream(id, code: 1, finalSize: 5),
            .stopSending(id, code: 1), .maxStreamData(id, 1 << 30), .streamDataBlocked(id, 1),
        ]
        for side in 0...1 {
            pair.deliver(StreamHostileTests.packet(5000, stale), to: side)
            #expect(pair.muxes[side].counters.staleFrames == 5 && pair.muxes[side].openCount == 0)
        }
        #expect(pair.errors.isEmpty)
    }

    @Test func `the owner's frames come first, reach the owner and are not acknowledged`() throws {
        var a = Target(), b = Target()
        b.mux = StreamMux(role: .higher, now: StreamHostileTests.now)
        let id = a.open(writing: [1, 2, 3])
        var writer = ByteWriter()
        let both = a.mux.transmit(limit: 1200, carrying: [0x21, 0xaa], now: StreamHostileTests.now, into: &writer)
        #expect(both == Transmission(packetNumber: 0, count: writer.count, elicitsAck: true))
        let bytes = writer.bytes
        var seen: [UInt8] = []
        for _ in 0..<2 {
            var reader = ByteReader(bytes.span.bytes)
            _ = try b.mux.received(&reader, now: StreamHostileTests.now, into: &b.events) {
                (type, reader: inout ByteReader) throws(DecodeError) in
                seen += [type, try reader.uint8("own")]
            }
        }
        #expect(seen == [0x21, 0xaa])
        #expect(b.read(id).bytes == [1, 2, 3])

        writer = ByteWriter()
        _ = a.mux.write([4], to: id)
        let alone = a.mux.transmit(
            limit: 1200, carrying: [0x21, 0xbb], fill: .nothing, now: StreamHostileTests.now, into: &writer)
        #expect(alone == Transmission(packetNumber: 1, count: 3, elicitsAck: false))
        #expect(writer.bytes == [1, 0x21, 0xbb])
        // Where such frames are not expected they are an error.
        let refusal = b.deliver(writer.bytes)
        #expect(refusal == .malformed(DecodeError(.invalidValue, "frame type", at: 1)))
    }

    @Test(arguments: UInt64(1)...8)
    func `mutated and invented packets never trap and never grow memory`(seed: UInt64) {
        var random = Random(Seed(seed))
        var limits = StreamLimits()
        limits.streamFragments = 50
        limits.fragments = 100
        var target = Target(limits)
        var now = StreamHostileTests.now
        for round in 0..<6000 {
            if round % 500 == 0 { target = Target(limits) }
            now = now + .milliseconds(Int64(random.index(below: 20)))
            if random.chance(1, in: 5) {
                let id = StreamID(rawValue: random.next(below: 6))
                switch random.index(below: 6) {
                case 0: _ = target.mux.open()
                case 1: _ = target.mux.write([UInt8](repeating: 1, count: random.index(below: 5000)), to: id)
                case 2: target.mux.finish(id)
                case 3: target.mux.reset(id, code: 1)
                case 4: target.mux.stop(id, code: 2, into: &target.events)
                default: _ = target.read(id)
                }
            }
            let frames = (0...random.index(below: 3)).map { _ in invented(&random) }
            var bytes = StreamHostileTests.packet(random.next(below: 3000), frames)
            if random.chance(1, in: 4) {
                bytes[random.index(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            if target.deliver(bytes) != nil { target = Target(limits) }
            target.mux.tick(now: now, into: &target.events)
            var writer = ByteWriter()
            while target.mux.transmit(limit: 1200, now: now, into: &writer) != nil {}
            if target.mux.heldForReading > Int(limits.maxWindow) || target.mux.openCount > 1024 + 600 {
                Issue.record("\(target.mux.heldForReading) bytes, \(target.mux.openCount) streams in round \(round)")
            }
            target.events.removeAll()
        }
    }

    private func invented(_ random: inout Random) -> Frame {
        func number(_ random: inout Random) -> UInt64 {
            switch random.index(below: 4) {
            case 0: random.next(below: 10)
            case 1: random.next(below: 5000)
            case 2: random.next(below: 3 << 20)
            default: random.next(below: 1 << 62)
            }
        }
        let id = StreamID(rawValue: random.chance(1, in: 30) ? random.next(below: 5000) : random.next(below: 6))
        switch random.index(below: 10) {
        case 0:
            let largest = random.next(below: 40), smallest = random.next(below: largest + 1)
            var ranges = [smallest...largest]
            if smallest > 3 { ranges.append(0...smallest - 3) }
            return .ack(AckFrame(ranges: ranges, delayMicroseconds: number(&random)))
        case 1: return .resetStream(id, code: 1, finalSize: number(&random))
        case 2: return .stopSending(id, code: 1)
        case 3: return .maxData(number(&random))
        case 4: return .maxStreamData(id, number(&random))
        case 5: return .maxStreams(min(number(&random), Frame.maxStreamCount))
        case 6: return .ping
        default:
            let bytes = [UInt8](repeating: 3, count: random.index(below: 300))
            let offset = min(number(&random), Frame.maxOffset - 300)
            return .stream(id, offset: offset, bytes: bytes, isLast: random.chance(1, in: 10))
        }
    }
}
