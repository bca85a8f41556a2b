import Base
import DequeModule
import Wire

/// # The receiving side of a stream
///
///     0 ........ consumed ......... contiguous .......... highest
///         read       |    readable      |  with holes        |
///
/// Bytes are copied to their final place, in blocks of `blockSize` aligned to multiples of it. So overlapping, repeated and
/// one-byte pieces use no more memory than the window; only the count of ranges above `contiguous` has to be limited by the
/// caller. Bytes after a `stop` of the application are counted and dropped.
struct ReceiveStream: Sendable {
    enum Phase: Hashable, Sendable {
        case open
        /// The application reads no more.
        case stopped(code: UInt64)
        /// Everything has been read, or the peer has reset the stream, or it has been stopped and the end is known.
        case done
    }
    static let blockSize: UInt64 = 16 * 1024

    private(set) var phase = Phase.open
    private(set) var window: FlowWindow
    private(set) var contiguous: UInt64 = 0
    private(set) var highest: UInt64 = 0
    private(set) var finalSize: UInt64?
    private var consumed: UInt64 = 0
    private var blocks: Deque<[UInt8]> = []
    private var blocksStart: UInt64 = 0
    private var above = NumberRanges()

    init(window: FlowWindow) { self.window = window }

    var readable: Int { Int(contiguous - consumed) }
    var isDone: Bool { phase == .done }
    /// All bytes have come, though perhaps not been read.
    var isComplete: Bool { finalSize == contiguous }
    var fragments: Int { above.count }
    /// Bytes that count against the connection's limit and were not given back to it: those neither read nor dropped.
    var uncredited: UInt64 { highest - consumed }

    /// Checks a piece against the window and the final size; returns by how much it moves `highest`.
    func check(_ id: StreamID, _ range: Range<UInt64>, isLast: Bool) throws(StreamError) -> UInt64 {
        if let finalSize {
            let end = range.upperBound
            guard isLast ? end == finalSize : end <= finalSize else { throw .finalSize(id) }
        } else if isLast, range.upperBound < highest {
            throw .finalSize(id)
        }
        guard range.upperBound <= window.limit else { throw .flowControl(id) }
        return range.upperBound > highest ? range.upperBound - highest : 0
    }

    /// How many ranges a piece would add to `fragments`. A piece that touches the contiguous part never adds one.
    func growth(_ range: Range<UInt64>) -> Int {
        if range.lowerBound <= contiguous || phase != .open { return 0 }
        return above.growth(inserting: range)
    }

    /// Takes a piece that `check` has passed. Returns how many bytes were dropped and are to be credited.
    mutating func store(_ bytes: [UInt8], at offset: UInt64, isLast: Bool) -> UInt64 {
        let end = offset + UInt64(bytes.count)
        highest = max(highest, end)
        if isLast { finalSize = end }
        switch phase {
        case .done: return 0
        case .stopped:
            if finalSize != nil { phase = .done }
            return drop()
        case .open: break
        }
        let start = max(offset, contiguous)
        guard start < end else { return 0 }
        copy(bytes, skipping: Int(start - offset), at: start)
        if start > contiguous {
            above.insert(start..<end)
        } else {
            contiguous = end
            // Ranges do not touch each other, but several may lie below the new end.
            above.removeBelow(contiguous)
            if let first = above.first, first.lowerBound == contiguous { contiguous = first.upperBound }
            above.removeBelow(contiguous)
        }
        return 0
    }

    /// The peer's reset with its final size, which `check` has passed. Returns the bytes to be credited, or `nil` where
    /// the reset changes nothing since everything has come.
    mutating func reset(finalSize size: UInt64) -> UInt64? {
        guard phase != .done, !(phase == .open && isComplete) else { return nil }
        finalSize = size
        highest = max(highest, size)
        phase = .done
        return drop()
    }

    /// Returns the bytes to be credited, or `nil` where there is nothing to stop.
    mutating func stop(code: UInt64) -> UInt64? {
        guard phase == .open else { return nil }
        phase = finalSize == nil ? .stopped(code: code) : .done
        return drop()
    }

    mutating func read(limit: Int) -> ReadResult {
        guard phase == .open else { return ReadResult(bytes: [], isFinished: false) }
        var bytes: [UInt8] = []
        var left = min(limit, readable)
        while left > 0 {
            let start = Int(consumed - blocksStart)
            let count = min(left, Int(ReceiveStream.blockSize) - start)
            if start == 0, count == blocks[0].count, bytes.isEmpty {
                bytes = blocks[0]
            } else {
                if bytes.isEmpty { bytes.reserveCapacity(left) }
                bytes.append(contentsOf: blocks[0][start..<start + count])
            }
            consumed += UInt64(count)
            window.consume(UInt64(count))
            left -= count
            if consumed == blocksStart + ReceiveStream.blockSize {
                blocks.removeFirst()
                blocksStart = consumed
            }
        }
        let isFinished = consumed == finalSize
        if isFinished {
            phase = .done
            release()
        }
        return ReadResult(bytes: bytes, isFinished: isFinished)
    }

    /// The limit to announce to the peer; `nil` when it no longer needs one.
    mutating func moveWindow(roundTrip: Interval, now: Instant) -> UInt64? {
        guard phase == .open, finalSize == nil else { return nil }
        return window.move(roundTrip: roundTrip, now: now)
    }

    var isWindowMoveDue: Bool { phase == .open && finalSize == nil && window.isMoveDue }

    private mutating func drop() -> UInt64 {
        let credit = uncredited
        consumed = highest
        contiguous = highest
        release()
        return credit
    }

    private mutating func release() {
        blocks = []
        above.removeAll()
    }

    /// Copies `bytes` without the first `skipped` to where offset `start` lies.
    private mutating func copy(_ bytes: [UInt8], skipping skipped: Int, at start: UInt64) {
        var offset = start, taken = skipped
        while taken < bytes.count {
            let place = offset - blocksStart
            let index = Int(place / ReceiveStream.blockSize), inBlock = Int(place % ReceiveStream.blockSize)
            let count = min(bytes.count - taken, Int(ReceiveStream.blockSize) - inBlock)
            while blocks.count <= index { blocks.append([]) }
            blocks[index].put(bytes[taken..<taken + count], at: inBlock)
            offset += UInt64(count)
            taken += count
        }
    }
}

extension [UInt8] {
    /// Overwrites from `position`; the array grows as far as it must, with zeros before `position`.
    fileprivate mutating func put(_ more: ArraySlice<UInt8>, at position: Int) {
        if position > count { append(contentsOf: repeatElement(0, count: position - count)) }
        if position == count {
            append(contentsOf: more)
        } else {
            let overlap = Swift.min(count - position, more.count)
            replaceSubrange(position..<position + overlap, with: more.prefix(overlap))
            append(contentsOf: more.dropFirst(overlap))
        }
    }
}
