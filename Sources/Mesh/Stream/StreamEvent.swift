package import Wire

package enum StreamEvent: Hashable, Sendable {
    /// The peer opened the stream.
    case opened(StreamID)
    /// Bytes or the end can be read. Comes again only after `read` has returned everything that was there.
    case readable(StreamID)
    /// A `write` was cut short; now there is room.
    case writable(StreamID)
    /// The peer gave up sending; what was not read is gone.
    case reset(StreamID, code: UInt64)
    /// The peer reads no more; the sending side has been reset with the same code.
    case stopped(StreamID, code: UInt64)
    /// All that was written, and the end, has been acknowledged.
    case acknowledged(StreamID)
    /// Both directions are done and the stream's state is gone.
    case closed(StreamID)
    /// `open` returned `nil` before; now it would succeed.
    case openable
}
