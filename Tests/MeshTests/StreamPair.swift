import Base
import Foundation
import HeapModule
import Mesh
import Testing
import Wire

/// How a simulated path treats packets, the same in both directions.
struct StreamPath: Sendable {
    var latency = Interval.milliseconds(25)
    /// Added at random to each packet; more than the distance of packets reorders them.
    var jitter = Interval.zero
    var lossPerMille: UInt64 = 0
    var duplicatesPerMille: UInt64 = 0
    /// 0: without limit.
    var bytesPerSecond = 0
    var queue = 256 * 1024
    var datagram = 1200
}

/// Two muxes, a path between them and an application at each, all in virtual time.
final class StreamPair {
    private struct Arrival: Comparable {
        var at: Instant
        var order: Int
        var to: Int
        var bytes: [UInt8]
        static func == (a: Arrival, b: Arrival) -> Bool { a.order == b.order }
        static func < (a: Arrival, b: Arrival) -> Bool { (a.at, a.order) < (b.at, b.order) }
    }
    var muxes: [StreamMux]
    var path: StreamPath
    var now = Instant.origin + .seconds(1)
    var random: Random
    var isDark = false
    var application: (Int, StreamEvent) -> Void = { _, _ in }
    private(set) var bytesSent = [0, 0]
    /// FNV-1a over every packet's length, first bytes and time: two equal runs have equal prints.
    private(set) var print: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var errors: [StreamError] = []
    var events: [[StreamEvent]] = [[], []]
    private var arrivals = Heap<Arrival>()
    private var order = 0
    private var busyUntil: [Instant]
    private var writer = ByteWriter(reserving: 65_536)

    init(
        _ path: StreamPath = StreamPath(), limits: [StreamLimits] = [StreamLimits(), StreamLimits()], seed: UInt64 = 1
    ) {
        self.path = path
        random = Random(Seed(seed))
        muxes = [
            StreamMux(role: .lower, limits: limits[0], peerAllows: limits[1].allowance, now: now),
            StreamMux(role: .higher, limits: limits[1], peerAllows: limits[0].allowance, now: now),
        ]
        busyUntil = [now, now]
    }

    /// Steps until `isDone`, nothing more happens, or `limit` of virtual time has gone by. Returns whether it is done.
    @discardableResult
    func run(for limit: Interval, until isDone: () -> Bool = { false }) -> Bool {
        let end = now + limit
        var stalled = 0
        settle()
        while !isDone() {
            guard errors.isEmpty else { return false }
            let deadlines = muxes.compactMap { $0.deadline?.at }
            guard let next = (deadlines + [arrivals.min?.at].compactMap { $0 }).min() else { return false }
            if next > end {
                now = end
                return false
            }
            stalled = next > now ? 0 : stalled + 1
            if stalled > 10_000 {
                Issue.record("spins at \(now): \(muxes.map { String(describing: $0.deadline) })")
                return false
            }
            now = max(now, next)
            while let first = arrivals.min, first.at <= now { deliver(arrivals.removeMin()) }
            for side in 0...1 {
                if let deadline = muxes[side].deadline, deadline.at <= now {
                    muxes[side].tick(now: now, into: &events[side])
                }
            }
            settle()
        }
        return true
    }

    /// Lets the applications see what happened and the packets go that follow from it.
    func settle() {
        while !(events[0].isEmpty && events[1].isEmpty) {
            for side in 0...1 {
                let happened = events[side]
                events[side].removeAll(keepingCapacity: true)
                for event in happened { application(side, event) }
            }
        }
        for side in 0...1 {
            while true {
                writer.bytes.removeAll(keepingCapacity: true)
                guard let sent = muxes[side].transmit(limit: path.datagram, now: now, into: &writer) else { break }
                if sent.count != writer.count || sent.count > path.datagram { Issue.record("a packet of \(sent)") }
                send(writer.bytes, from: side)
            }
        }
        if !(events[0].isEmpty && events[1].isEmpty) { settle() }
    }

    func open(_ side: Int) -> StreamID? { muxes[side].open() }
    func write(_ side: Int, _ bytes: [UInt8], to id: StreamID) -> Int { muxes[side].write(bytes, to: id) }

    func deliver(_ bytes: [UInt8], to side: Int) {
        var reader = ByteReader(bytes.span.bytes)
        do throws(StreamError) {
            _ = try muxes[side].received(&reader, now: now, into: &events[side])
        } catch {
            errors.append(error)
        }
    }

    private func deliver(_ arrival: Arrival) { deliver(arrival.bytes, to: arrival.to) }

    private func send(_ bytes: [UInt8], from side: Int) {
        bytesSent[side] += bytes.count
        for value in [now.nanoseconds, UInt64(bytes.count)] + bytes.prefix(16).map(UInt64.init) {
            print = (print ^ value) &* 0x100_0000_01b3
        }
        if isDark || random.chance(path.lossPerMille, in: 1000) { return }
        var leaves = now
        if path.bytesPerSecond > 0 {
            let waiting = max(busyUntil[side], now) - now
            let queued = Int(waiting.nanoseconds) / 1000 * path.bytesPerSecond / 1_000_000
            if queued > path.queue { return }
            leaves = now + waiting + .nanoseconds(Int64(bytes.count + 46) * 1_000_000_000 / Int64(path.bytesPerSecond))
            busyUntil[side] = leaves
        }
        arrive(bytes, at: leaves, to: 1 - side)
        if random.chance(path.duplicatesPerMille, in: 1000) { arrive(bytes, at: leaves, to: 1 - side) }
    }

    private func arrive(_ bytes: [UInt8], at leaves: Instant, to side: Int) {
        let extra = path.jitter == .zero ? Interval.zero : random.interval(in: .zero...path.jitter)
        order += 1
        arrivals.insert(Arrival(at: leaves + path.latency + extra, order: order, to: side, bytes: bytes))
    }
}

/// Bytes that depend on their stream and offset, so that arriving data can be checked without keeping the sent data.
enum StreamPattern {
    private static let period = 65_521
    private static let table: [UInt8] = {
        var random = Random(Seed(4242))
        let once = (0..<period).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        return once + once
    }()

    /// At most one period from an offset.
    static func bytes(_ id: StreamID, at offset: Int, count: Int) -> ArraySlice<UInt8> {
        let start = (Int(id.rawValue) * 7919 + offset) % period
        return table[start..<start + min(count, period)]
    }

    static func matches(_ id: StreamID, at offset: Int, _ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let expected = StreamPattern.bytes(id, at: offset + done, count: bytes.count - done)
            let isSame = expected.withUnsafeBytes { a in
                bytes.withUnsafeBytes { b in memcmp(a.baseAddress!, b.baseAddress! + done, a.count) == 0 }
            }
            guard isSame else { return false }
            done += expected.count
        }
        return true
    }
}

/// Applications that write patterns and check what they read.
final class StreamTraffic {
    struct Outgoing {
        var total: Int
        var written = 0
        var isAcknowledged = false
    }
    struct Incoming {
        var count = 0
        var isFinished = false
        var reset: UInt64?
    }
    let pair: StreamPair
    var outgoing: [[StreamID: Outgoing]] = [[:], [:]]
    var incoming: [[StreamID: Incoming]] = [[:], [:]]
    var opened: [[StreamID]] = [[], []]
    var closed: [[StreamID]] = [[], []]
    var stopped: [[StreamID: UInt64]] = [[:], [:]]
    var openables = [0, 0]
    /// Streams that are not read for now.
    var isReading = true
    /// What an acceptor writes back on each stream that was opened to it.
    var answer: Int?
    var onClosed: (Int, StreamID) -> Void = { _, _ in }

    init(_ pair: StreamPair) {
        self.pair = pair
        pair.application = { [unowned self] side, event in self.handle(side, event) }
    }

    func open(_ side: Int, sending total: Int) -> StreamID? {
        guard let id = pair.muxes[side].open() else { return nil }
        write(side, id, total: total)
        return id
    }

    func write(_ side: Int, _ id: StreamID, total: Int) {
        outgoing[side][id] = Outgoing(total: total)
        fill(side, id)
    }

    private func fill(_ side: Int, _ id: StreamID) {
        guard var out = outgoing[side][id] else { return }
        while out.written < out.total {
            let bytes = StreamPattern.bytes(id, at: out.written, count: out.total - out.written)
            let accepted = pair.muxes[side].write(bytes, to: id)
            out.written += accepted
            if accepted < bytes.count { break }
        }
        if out.written == out.total { pair.muxes[side].finish(id) }
        outgoing[side][id] = out
    }

    func read(_ side: Int, _ id: StreamID, limit: Int = .max) {
        let result = pair.muxes[side].read(id, limit: limit, into: &pair.events[side])
        var entry = incoming[side][id] ?? Incoming()
        if !StreamPattern.matches(id, at: entry.count, result.bytes) {
            Issue.record("\(id) differs within \(result.bytes.count) bytes from \(entry.count)")
        }
        if entry.isFinished, !result.bytes.isEmpty || result.isFinished { Issue.record("\(id) goes on after its end") }
        entry.count += result.bytes.count
        entry.isFinished = entry.isFinished || result.isFinished
        incoming[side][id] = entry
    }

    private func handle(_ side: Int, _ event: StreamEvent) {
        switch event {
        case .opened(let id):
            opened[side].append(id)
            if let answer { write(side, id, total: answer) }
        case .readable(let id): if isReading { read(side, id) }
        case .writable(let id): fill(side, id)
        case .reset(let id, let code): incoming[side][id, default: Incoming()].reset = code
        case .stopped(let id, let code): stopped[side][id] = code
        case .acknowledged(let id): outgoing[side][id]?.isAcknowledged = true
        case .closed(let id):
            closed[side].append(id)
            onClosed(side, id)
        case .openable: openables[side] += 1
        }
    }
}
