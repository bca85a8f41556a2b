package import Base
package import Wire

/// Which of two peers this is: the one with the lower NodeID or the other. Decides bit 0 of the ids of opened streams.
package enum StreamRole: UInt64, Sendable {
    case lower = 0
    case higher = 1

    var other: StreamRole {
        switch self {
        case .lower: .higher
        case .higher: .lower
        }
    }
}

/// What one side allows the other from the start, before any MAX_ frame. Not negotiated: the standard values are part
/// of the protocol, and whoever uses others must use them at both ends.
package struct StreamAllowance: Hashable, Sendable {
    /// Streams that may be open at once.
    package var streams: UInt64 = 1024
    /// Bytes of one stream that were not read yet.
    package var streamWindow: UInt64 = 1 << 20
    /// The same for the sum of all streams.
    package var window: UInt64 = 2 << 20

    package init() {}
}

/// Everything that bounds one peer's streams. Sizes are bytes.
package struct StreamLimits: Hashable, Sendable {
    package var allowance = StreamAllowance()
    /// What auto-tuning may make of the windows.
    package var maxStreamWindow: UInt64 = 8 << 20
    package var maxWindow: UInt64 = 16 << 20
    /// Written and not yet acknowledged bytes of a stream, and of all.
    package var streamSendBuffer = 4 << 20
    package var sendBuffer = 16 << 20
    /// Out-of-order pieces that a stream keeps, and all together. A packet that would need more counts as lost.
    package var streamFragments = 4096
    package var fragments = 16_384
    /// Ranges of received packet numbers that are remembered; a number below the lowest one counts as a duplicate.
    package var numberRanges = 256
    /// A datagram's plaintext, as long as `transmit` was not asked for a larger one.
    package var datagram = 1200
    /// Nothing makes the congestion window larger.
    package var maxCongestionWindow = 64 << 20

    package init() {}
}

package enum StreamEvent: Hashable, Sendable {
    /// The peer opened the stream.
    case opened(StreamID)
    /// Bytes or the end can be read. Comes again only after `read` has returned everything that was there.
    case readable(StreamID)
    /// A `write` was cut short; now there is room.
    case writable(StreamID)
    /// The peer gave up sending; what was not read is gone.
    case reset(StreamID, code: UInt64)
    /// The peer does not want more; the sending side has been reset with the same code.
    case stopped(StreamID, code: UInt64)
    /// All that was written, and the end, has been acknowledged.
    case acknowledged(StreamID)
    /// Both directions are done and the stream's state is gone.
    case closed(StreamID)
    /// `open` returned `nil`; now it would not.
    case openable
}

/// What a peer did wrong. The session with it ends; the mux is not to be used again.
package enum StreamError: Error, Hashable, Sendable {
    case malformed(DecodeError)
    /// More bytes than were allowed (RFC 9000, section 4.1).
    case flowControl(StreamID)
    /// A stream's end that contradicts what was sent before (section 4.5).
    case finalSize(StreamID)
    /// More streams than were allowed (section 4.6).
    case streamLimit(StreamID)
    /// A frame for a stream of ours that was never opened (section 19).
    case streamState(StreamID)
    /// An ACK for a packet that was never sent (section 13.1).
    case unsentAcknowledged(UInt64)
}

package struct StreamCounters: Hashable, Sendable {
    package var packetsSent = 0
    package var packetsReceived = 0
    package var packetsLost = 0
    /// Packets that were counted as lost and arrived after all.
    package var packetsLate = 0
    /// Packets whose number had been received before, or is too old to know.
    package var duplicates = 0
    /// Packets treated as lost, for their data would have made too many fragments.
    package var fragmentsRefused = 0
    /// Frames for streams that are closed.
    package var staleFrames = 0
    package var probeTimeouts = 0
    package var persistentCongestions = 0
    package var bytesRetransmitted = 0

    package init() {}
}

package struct ReadResult: Hashable, Sendable {
    package var bytes: [UInt8]
    /// The peer's end has been reached; nothing comes after `bytes`.
    package var isFinished: Bool

    package init(bytes: [UInt8], isFinished: Bool) {
        self.bytes = bytes
        self.isFinished = isFinished
    }
}

/// What `StreamMux.transmit` appended.
package struct Transmission: Hashable, Sendable {
    package let packetNumber: UInt64
    /// Bytes appended, the packet number included.
    package let count: Int
    package let elicitsAck: Bool

    package init(packetNumber: UInt64, count: Int, elicitsAck: Bool) {
        self.packetNumber = packetNumber
        self.count = count
        self.elicitsAck = elicitsAck
    }
}
