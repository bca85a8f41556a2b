import Base

/// # Messages on a stream
///
/// A stream carries bytes; this cuts them into messages and back. A frame is a length of 4 bytes, big-endian, and as many
/// bytes of one encoded `ControlMessage`. A channel does no I/O. Bytes of the stream go into `receive`, and complete
/// messages come out of `nextMessage`. Messages to send go into `send`, and `unsent` is what the stream should take next.
///
/// Both queues are bounded. When a peer sends faster than its messages are read, the channel is full. The stream is then
/// not read, so flow control stops the peer. A peer that does not read fills the outgoing queue, and `send` refuses. Its
/// owner drops the channel or waits, since state is sent again later.
///
/// A length beyond the limit is the only error that cannot be repaired, because the start of the next frame is then
/// unknown. The channel is `broken`, and the stream is to be reset. A frame whose content cannot be read is counted and
/// skipped; it may come from a later version.
package struct MessageChannel: Sendable {
    /// Bytes that were received and do not yet make a message; the first `consumed` of them are used.
    private var incoming: [UInt8] = []
    private var consumed = 0
    private var outgoing: [UInt8] = []
    private var sent = 0
    /// The stream's length prefix was out of range; nothing more will be read.
    package private(set) var isBroken = false
    /// Frames that held no readable message.
    package private(set) var unreadable: UInt64 = 0

    private static let prefix = 4
    /// Bytes that wait to be taken by the stream: two of the largest messages.
    package static let outgoingLimit = 2 * (Limits.controlMessageBytes + prefix)
    /// Bytes that wait to be taken as messages: the largest message, and one read of the stream.
    package static let incomingLimit = Limits.controlMessageBytes + prefix + 64 << 10

    package init() {}

    /// How many bytes `receive` takes now.
    package var room: Int { isBroken ? 0 : max(0, MessageChannel.incomingLimit - (incoming.count - consumed)) }
    package var isFull: Bool { room == 0 }
    /// Bytes that were received and do not make a message yet.
    package var pendingBytes: Int { incoming.count - consumed }

    /// Takes what the stream gave; at most `room` bytes.
    package mutating func receive(_ bytes: some Collection<UInt8>) {
        guard !isBroken else { return }
        precondition(bytes.count <= room, "\(bytes.count) bytes into a channel with room for \(room)")
        if consumed > 0, consumed >= incoming.count / 2 {
            incoming.removeFirst(consumed)
            consumed = 0
        }
        incoming.append(contentsOf: bytes)
    }

    /// The next whole message; `nil` where more bytes are needed.
    package mutating func nextMessage() -> ControlMessage? {
        while !isBroken, incoming.count - consumed >= MessageChannel.prefix {
            let count = incoming[consumed..<consumed + MessageChannel.prefix].reduce(0) { $0 << 8 | Int($1) }
            guard count <= Limits.controlMessageBytes else {
                isBroken = true
                incoming = []
                consumed = 0
                return nil
            }
            let start = consumed + MessageChannel.prefix
            guard incoming.count - start >= count else { return nil }
            let frame = Array(incoming[start..<start + count])
            consumed = start + count
            if consumed == incoming.count {
                incoming.removeAll(keepingCapacity: incoming.capacity <= 64 << 10)
                consumed = 0
            }
            do throws(DecodeError) {
                return try ControlMessage(decoding: frame)
            } catch {
                unreadable += 1
            }
        }
        return nil
    }

    /// Puts a message in the queue; false, and nothing is queued, where there is no room for it.
    package mutating func send(_ message: ControlMessage) -> Bool {
        let bytes = message.encoded()
        precondition(bytes.count <= Limits.controlMessageBytes, "a message of \(bytes.count) bytes")
        guard outgoing.count - sent + MessageChannel.prefix + bytes.count <= MessageChannel.outgoingLimit else {
            return false
        }
        if sent > 0, sent >= outgoing.count / 2 {
            outgoing.removeFirst(sent)
            sent = 0
        }
        var writer = ByteWriter()
        writer.uint32(UInt32(bytes.count))
        outgoing.append(contentsOf: writer.bytes)
        outgoing.append(contentsOf: bytes)
        return true
    }

    package var hasUnsent: Bool { sent < outgoing.count }

    /// At most `limit` bytes that the stream should take next; `taken` states how many it accepted.
    package func unsent(limit: Int) -> ArraySlice<UInt8> { outgoing[sent..<min(outgoing.count, sent + limit)] }

    package mutating func taken(_ count: Int) {
        precondition(count <= outgoing.count - sent, "\(count) bytes taken of \(outgoing.count - sent)")
        sent += count
        if sent == outgoing.count {
            outgoing.removeAll(keepingCapacity: outgoing.capacity <= 64 << 10)
            sent = 0
        }
    }
}
