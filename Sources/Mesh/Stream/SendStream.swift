import Base
import DequeModule
import Wire

/// # The sending side of a stream
///
///     0 ......... base ............ nextOffset ........... end
///        acknowledged |  in flight, lost  |  never sent     |  (fin)
///
/// Bytes from `base` to `end` lie in chunks of `chunkSize`, aligned to multiples of it, so that a division finds the bytes of
/// an offset, and memory is freed a chunk at a time. `acked` holds what was acknowledged above `base`, `lost` what must be
/// sent again. A reset drops the bytes, and then only the reset itself waits for an acknowledgement.
struct SendStream: Sendable {
    enum Phase: Hashable, Sendable {
        case open
        /// `finish` was called: `end` is the final size.
        case finishing
        case reset(code: UInt64)
        /// The end or the reset has been acknowledged.
        case done
    }
    /// A piece to be sent in one frame.
    struct Segment: Hashable, Sendable {
        let range: Range<UInt64>
        let isLast: Bool
        /// How many of the bytes were never sent before, and so count against the connection's limit.
        let fresh: UInt64
    }
    /// Why there is nothing to send.
    enum Holdup: Hashable, Sendable { case nothing, streamLimit, connectionLimit, room }

    static let chunkSize: UInt64 = 16 * 1024

    private(set) var phase = Phase.open
    private(set) var base: UInt64 = 0
    private(set) var nextOffset: UInt64 = 0
    private(set) var end: UInt64 = 0
    /// What the peer allows.
    private(set) var peerLimit: UInt64
    private var chunks: Deque<[UInt8]> = []
    /// The multiple of `chunkSize` at which the first chunk begins.
    private var chunksStart: UInt64 = 0
    private var acked = NumberRanges()
    private var lost = NumberRanges()
    private var isLastDue = false
    private var isLastAcknowledged = false

    init(peerLimit: UInt64) { self.peerLimit = peerLimit }

    /// Bytes held: not sent, or sent and not acknowledged.
    var buffered: Int { Int(end - base) }
    /// The final size in a RESET_STREAM (RFC 9000, section 4.5).
    var finalSize: UInt64 { nextOffset }
    var isDone: Bool { phase == .done }

    mutating func write<Bytes: Collection<UInt8>>(_ bytes: Bytes) {
        precondition(phase == .open, "write to a stream that is \(phase)")
        var rest = bytes[...]
        while !rest.isEmpty {
            let used = Int(end - chunksStart) % Int(SendStream.chunkSize)
            if end == chunksStart + UInt64(chunks.count) * SendStream.chunkSize { chunks.append([]) }
            let part = rest.prefix(Int(SendStream.chunkSize) - used)
            chunks[chunks.count - 1].append(contentsOf: part)
            end += UInt64(part.count)
            rest = rest.dropFirst(part.count)
        }
    }

    mutating func finish() {
        guard phase == .open else { return }
        phase = .finishing
        isLastDue = true
    }

    /// Drops the bytes to be sent; returns how many bytes that frees, or `nil` if there is nothing left to reset.
    mutating func reset(code: UInt64) -> Int? {
        switch phase {
        case .reset, .done: return nil
        case .open, .finishing: break
        }
        let freed = buffered
        phase = .reset(code: code)
        release()
        return freed
    }

    mutating func raise(peerLimit: UInt64) -> Bool {
        guard peerLimit > self.peerLimit else { return false }
        self.peerLimit = peerLimit
        return true
    }

    /// The next piece that fits into `room` bytes with its header: lost bytes first, then new ones, within the peer's limit
    /// and `credit`, which is what the connection's limit leaves.
    mutating func next(id: StreamID, room: Int, credit: UInt64) -> (Segment?, Holdup) {
        switch phase {
        case .reset, .done: return (nil, .nothing)
        case .open, .finishing: break
        }
        if let first = lost.first {
            guard let capacity = Frame.streamCapacity(id, offset: first.lowerBound, room: room), capacity > 0 else {
                return (nil, .room)
            }
            let range = lost.takeFirst(UInt64(capacity))!
            return (segment(range, fresh: 0), .nothing)
        }
        let fresh = min(end, peerLimit, nextOffset + min(credit, Frame.maxOffset)) - nextOffset
        let isLastAlone = isLastDue && nextOffset == end
        guard fresh > 0 || isLastAlone else {
            if nextOffset == end { return (nil, .nothing) }
            return (nil, nextOffset >= peerLimit ? .streamLimit : .connectionLimit)
        }
        guard let capacity = Frame.streamCapacity(id, offset: nextOffset, room: room), capacity > 0 || isLastAlone
        else {
            return (nil, .room)
        }
        let count = min(fresh, UInt64(capacity))
        let range = nextOffset..<nextOffset + count
        nextOffset += count
        return (segment(range, fresh: count), .nothing)
    }

    /// Whether `next` may return a segment, apart from limits.
    var hasMore: Bool {
        switch phase {
        case .reset, .done: false
        case .open, .finishing: !lost.isEmpty || nextOffset < end || isLastDue
        }
    }

    /// New bytes wait for the peer's limit of this stream.
    var isHeldUp: Bool { hasMore && nextOffset < end && nextOffset >= peerLimit }

    private mutating func segment(_ range: Range<UInt64>, fresh: UInt64) -> Segment {
        let isLast = phase == .finishing && range.upperBound == end
        if isLast { isLastDue = false }
        return Segment(range: range, isLast: isLast, fresh: fresh)
    }

    /// Appends the bytes of `range`, which must not have been acknowledged.
    func append(_ range: Range<UInt64>, to writer: inout ByteWriter) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let place = offset - chunksStart
            let index = Int(place / SendStream.chunkSize), start = Int(place % SendStream.chunkSize)
            let count = min(Int(range.upperBound - offset), Int(SendStream.chunkSize) - start)
            writer.bytes.append(contentsOf: chunks[index][start..<start + count])
            offset += UInt64(count)
        }
    }

    /// A piece arrived. Returns how many bytes that frees.
    mutating func acknowledged(_ range: Range<UInt64>, isLast: Bool) -> Int {
        switch phase {
        case .reset, .done: return 0
        case .open, .finishing: break
        }
        lost.remove(range)
        let before = base
        if range.lowerBound <= base {
            base = max(base, range.upperBound)
            // Ranges do not touch each other, but several may lie below the new base.
            acked.removeBelow(base)
            if let first = acked.first, first.lowerBound == base { base = first.upperBound }
            acked.removeBelow(base)
        } else {
            acked.insert(range)
        }
        if isLast { isLastAcknowledged = true }
        if isLastAcknowledged && base == end {
            phase = .done
            let freed = Int(end - before)
            release()
            return freed
        }
        while !chunks.isEmpty, chunksStart + SendStream.chunkSize <= base {
            chunks.removeFirst()
            chunksStart += SendStream.chunkSize
        }
        return Int(base - before)
    }

    /// A piece must be sent again, unless another copy of it arrived.
    mutating func lost(_ range: Range<UInt64>, isLast: Bool) {
        switch phase {
        case .reset, .done: return
        case .open, .finishing: break
        }
        if isLast && !isLastAcknowledged { isLastDue = true }
        let open = max(range.lowerBound, base)..<max(range.upperBound, base)
        var missing: [Range<UInt64>] = []
        acked.forEachGap(in: open) { missing.append($0) }
        for gap in missing { lost.insert(gap) }
    }

    mutating func resetAcknowledged() {
        if case .reset = phase { phase = .done }
    }

    private mutating func release() {
        chunks = []
        acked.removeAll()
        lost.removeAll()
        isLastDue = false
        base = end
    }
}
