/// Everything that bounds one peer's streams. Sizes are bytes.
package struct StreamLimits: Hashable, Sendable {
    package var allowance = StreamAllowance()
    /// The maximum of a window under auto-tuning.
    package var maxStreamWindow: UInt64 = 8 << 20
    package var maxWindow: UInt64 = 16 << 20
    /// Written and not yet acknowledged bytes of a stream, and of all.
    package var streamSendBuffer = 4 << 20
    package var sendBuffer = 16 << 20
    /// Out-of-order pieces that a stream keeps, and all together. A packet that would need more counts as lost.
    package var streamFragments = 4096
    package var fragments = 16_384
    /// Ranges of received packet numbers that are remembered; a number below the lowest one counts as a duplicate.
    package private(set) var numberRanges = 256
    /// A datagram's plaintext, as long as `transmit` was not asked for a larger one.
    package private(set) var datagram = 1200
    /// The maximum of the congestion window.
    package private(set) var maxCongestionWindow = 64 << 20

    package init() {}
}
