package import Base
package import Wire

/// A protocol violation of a peer. The session with it ends; the mux is not to be used again.
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
