package import Base
package import Wire
package struct StreamMux {
    package init(role: StreamRole, limits: StreamLimits, now: Instant) {}
    package mutating func open() -> StreamID? { nil }
    package mutating func write(_ bytes: some Collection<UInt8>, to: StreamID) -> Int { 0 }
    package mutating func finish(_ s: StreamID) {}
    package mutating func reset(_ s: StreamID, code: UInt64) {}
    package mutating func stop(_ s: StreamID, code: UInt64) {}
    package mutating func read(_ s: StreamID, limit: Int) -> ReadResult { ReadResult(bytes: [], isFinished: false) }
    package mutating func received(_ r: inout ByteReader, now: Instant, into: inout [StreamEvent], foreign: (UInt8, inout ByteReader) throws(DecodeError) -> Void) throws(StreamError) {}
    package mutating func transmit(limit: Int, ownFrames: [UInt8], now: Instant, into: inout ByteWriter) -> Transmission? { nil }
    package mutating func tick(now: Instant, into: inout [StreamEvent]) {}
    package var deadline: Deadline? { nil }
    package var openCount: Int { 0 }
}
