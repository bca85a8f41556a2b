import Base
import Mesh
import Testing
import Wire

/// Random operations at both ends against a model: of each direction how much was written and how much was read of a
/// pattern of its own.
@Suite struct StreamModelTests {
    private final class Direction {
        var written = 0
        var isFinished = false
        var isReset = false
        var read = 0
        var isReadToEnd = false
        var isStopped = false
        /// The reader has been informed of the reset.
        var isResetReported = false
    }

    @Test(arguments: UInt64(1)...40)
    func `what is read is a prefix of what was written, and all of it in the end`(seed: UInt64) {
        var random = Random(Seed(seed &+ 1000))
        var path = StreamPath()
        path.lossPerMille = random.next(below: 200)
        path.jitter = .milliseconds(Int64(random.next(below: 30)))
        path.duplicatesPerMille = random.next(below: 100)
        var limits = StreamLimits()
        limits.allowance.streamWindow = 5000 + random.next(below: 30_000)
        limits.allowance.window = 20_000 + random.next(below: 40_000)
        limits.allowance.streams = 4
        limits.maxStreamWindow = 60_000
        limits.maxWindow = 100_000
        limits.streamSendBuffer = 3000 + random.index(below: 40_000)
        limits.sendBuffer = 50_000
        let pair = StreamPair(path, limits: [limits, limits], seed: seed)
        var model: [StreamID: [Direction]] = [:]
        var order: [StreamID] = []
        var closed: [[StreamID]] = [[], []]
        pair.application = { side, event in
            switch event {
            case .opened(let id): #expect(model[id] != nil)
            case .reset(let id, let code):
                #expect(code == 5 || code == 6)
                #expect(model[id]![1 - side].isReset)
                model[id]![1 - side].isResetReported = true
            case .stopped(let id, let code):
                #expect(code == 6 && model[id]![side].isStopped)
                model[id]![side].isReset = true
            case .closed(let id): closed[side].append(id)
            case .readable, .writable, .acknowledged, .openable: break
            }
        }
        func pattern(_ side: Int, _ id: StreamID) -> StreamID { StreamID(rawValue: id.rawValue * 2 + UInt64(side)) }
        func read(_ side: Int, _ id: StreamID, limit: Int) {
            let direction = model[id]![1 - side]
            let result = pair.muxes[side].read(id, limit: limit, into: &pair.events[side])
            let isSame = StreamPattern.matches(pattern(1 - side, id), at: direction.read, result.bytes)
            direction.read += result.bytes.count
            if result.isFinished { direction.isReadToEnd = true }
            #expect(isSame && direction.read <= direction.written)
            #expect(!direction.isReadToEnd || direction.isFinished)
        }
        for _ in 0..<600 {
            let side = random.index(below: 2)
            if random.chance(1, in: 20), let id = pair.open(side) {
                model[id] = [Direction(), Direction()]
                order.append(id)
            }
            guard !order.isEmpty else { continue }
            let id = order[random.index(below: order.count)]
            let out = model[id]![side]
            // The other end knows a stream only when its opener's first frame has come.
            let isKnown = Int(id.opener) == side || pair.muxes[side].isOpen(id)
            switch random.index(below: 16) {
            case 0...5:
                let bytes = StreamPattern.bytes(
                    pattern(side, id), at: out.written, count: random.index(below: 9000))
                let accepted = pair.write(side, Array(bytes), to: id)
                #expect(accepted == 0 || !(out.isFinished || out.isReset))
                out.written += accepted
            case 6...10: read(side, id, limit: random.index(below: 20_000))
            case 11 where isKnown && random.chance(1, in: 3):
                pair.muxes[side].finish(id)
                if !out.isReset { out.isFinished = true }
            case 12 where isKnown && random.chance(1, in: 8):
                pair.muxes[side].reset(id, code: 5)
                out.isReset = true
            case 13 where isKnown && random.chance(1, in: 8):
                pair.muxes[side].stop(id, code: 6, into: &pair.events[side])
                model[id]![1 - side].isStopped = true
            default: pair.run(for: random.interval(in: .zero...(.milliseconds(60))))
            }
            #expect(pair.muxes.allSatisfy { $0.buffered <= 50_000 && $0.heldForReading <= 100_000 })
        }
        finish(pair, order, read: { read($0, $1, limit: .max) }, model: { model[$0]!.map(\.isFinished) }) {
            model[$0]![$1].isFinished = true
        }
        #expect(pair.errors.isEmpty)
        for id in order {
            for direction in model[id]! where direction.isFinished && !direction.isReset && !direction.isStopped {
                #expect(direction.isReadToEnd && direction.read == direction.written)
            }
        }
        #expect(closed[0].sorted() == order.sorted() && closed[1].sorted() == order.sorted())
        #expect(pair.muxes.allSatisfy { $0.openCount == 0 && $0.buffered == 0 && $0.heldForReading == 0 })
    }

    /// Ends every stream in both directions and reads on until nothing happens any more.
    private func finish(
        _ pair: StreamPair, _ ids: [StreamID], read: (Int, StreamID) -> Void, model: (StreamID) -> [Bool],
        ended: (StreamID, Int) -> Void
    ) {
        for _ in 0..<600 {
            for id in ids {
                for side in 0...1 where pair.muxes[side].isOpen(id) {
                    if !model(id)[side] {
                        pair.muxes[side].finish(id)
                        ended(id, side)
                    }
                    read(side, id)
                }
            }
            // A stream that its opener never used is unknown to the other end until now.
            pair.run(for: .milliseconds(500))
            if pair.muxes.allSatisfy({ $0.openCount == 0 && $0.isIdle }) { return }
        }
    }
}
