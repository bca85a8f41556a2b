import Base

/// A packet that asks for an ACK, from its sending until it is acknowledged or lost.
struct SentPacket: Sendable {
    enum State: Hashable, Sendable {
        case outstanding, acknowledged, lost
    }
    let number: UInt64
    let sentAt: Instant
    let bytes: Int
    private(set) var state = State.outstanding
    private(set) var contents: SentContents
    /// The largest number in the ACK frame that it carried.
    let acknowledges: UInt64?

    init(number: UInt64, sentAt: Instant, bytes: Int, contents: SentContents, acknowledges: UInt64? = nil) {
        self.number = number
        self.sentAt = sentAt
        self.bytes = bytes
        self.contents = contents
        self.acknowledges = acknowledges
    }

    mutating func become(_ state: State) { self.state = state }
    /// Drops the contents, because they are recorded elsewhere.
    mutating func dropContents() { contents = SentContents() }
}
