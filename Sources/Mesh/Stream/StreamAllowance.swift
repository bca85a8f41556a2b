/// What one side allows the other from the start, before any MAX_ frame. Not negotiated: the standard values are part
/// of the protocol, and other values must be used at both ends.
package struct StreamAllowance: Hashable, Sendable {
    /// Streams that may be open at once.
    package var streams: UInt64 = 1024
    /// Bytes of one stream that were not read yet.
    package var streamWindow: UInt64 = 1 << 20
    /// The same for the sum of all streams.
    package var window: UInt64 = 2 << 20

    package init() {}
}
