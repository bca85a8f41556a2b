import Wire

/// How many streams either end has opened, and may open (RFC 9000, section 4.6).
struct StreamOpenings: Sendable {
    private let role: StreamRole
    /// How many of the peer's streams may be open at once.
    private let allowance: UInt64
    private var next: UInt64 = 0
    /// How many streams the peer lets us open in all.
    private(set) var limit: UInt64
    /// Another stream is requested: it is to be opened as soon as the peer allows it.
    private(set) var isRequested = false
    private var peerNext: UInt64 = 0
    private var peerClosed: UInt64 = 0
    private var peerLimit: UInt64

    init(role: StreamRole, allowance: UInt64, peerAllows limit: UInt64) {
        self.role = role
        self.allowance = allowance
        self.limit = limit
        peerLimit = allowance
    }

    // MARK: - Ours

    /// Opens a stream and returns its id; `nil` while the peer allows no more.
    mutating func open() -> StreamID? {
        guard next < limit else { return nil }
        defer { next += 1 }
        return StreamID(sequence: next, opener: role.rawValue)
    }

    /// `open` was refused. Returns whether the peer is to be informed of it.
    mutating func request() -> Bool {
        defer { isRequested = true }
        return !isRequested
    }

    /// The peer's limit has come. Returns whether an `open` that was refused would now succeed.
    mutating func raise(limit: UInt64) -> Bool {
        self.limit = max(self.limit, limit)
        guard isRequested, next < self.limit else { return false }
        isRequested = false
        return true
    }

    // MARK: - The peer's

    /// A frame came for a stream that is not open. Returns the peer's streams that it opens, with all lower ones (section
    /// 3.2); none where the stream is closed.
    mutating func opened(by id: StreamID) throws(StreamError) -> [StreamID] {
        if id.opener == role.rawValue {
            guard id.sequence < next else { throw .streamState(id) }
            return []
        }
        guard id.sequence >= peerNext else { return [] }
        guard id.sequence < peerLimit else { throw .streamLimit(id) }
        defer { peerNext = id.sequence + 1 }
        return (peerNext...id.sequence).map { StreamID(sequence: $0, opener: role.other.rawValue) }
    }

    /// A stream is closed. Returns whether the peer is to be informed of a new limit.
    mutating func closed(_ id: StreamID) -> Bool {
        guard id.opener != role.rawValue else { return false }
        peerClosed += 1
        return peerClosed + allowance - peerLimit >= max(1, allowance / 4)
    }

    /// Moves the peer's limit, and returns it.
    mutating func movePeerLimit() -> UInt64 {
        peerLimit = max(peerLimit, peerClosed + allowance)
        return peerLimit
    }
}
