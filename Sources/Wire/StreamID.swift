import Base

/// A stream of a session: bit 0 states which side opened it, the other bits count that side's streams from 0.
package struct StreamID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package init(sequence: UInt64, opener: UInt64) { rawValue = sequence << 1 | opener }

    package var sequence: UInt64 { rawValue >> 1 }
    /// 0 or 1: the side that opened the stream.
    package var opener: UInt64 { rawValue & 1 }
    package var description: String { "stream \(rawValue)" }

    package static func < (a: StreamID, b: StreamID) -> Bool { a.rawValue < b.rawValue }
}
