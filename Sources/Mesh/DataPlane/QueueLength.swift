package import Base

/// # How long the interface's queue may be
///
/// A queue is measured in packets, so it holds 30 KB of 64-byte datagrams or 30 MB of super-packets. A long queue delays all
/// traffic behind a bulk transfer; a short one drops the small bursts of others. Only the time that a packet waits matters,
/// and it is known: while the queue does not run empty, the rate of reading is all that this machine can carry.
///
/// So the queue is `wide` until bulk fills it. Then it holds what is carried in `patience`, and it is wide again some time
/// after the bulk transfer. A change has a cost: packets beyond the new length are lost, and for an instant the kernel passes
/// nothing. So changes are rare: a transfer is given time to reach its speed, and a length stays until it is wrong by half.
package struct QueueLength: Sendable {
    /// The usual length of other tunnels, in packets.
    package static let wide = 500
    private static let least = 32
    /// How long a packet should wait behind others.
    private static let patience = Interval.microseconds(4500)
    private static let window = Interval.milliseconds(50)
    private static let memory = Interval.seconds(60)
    /// Bytes from which a packet counts as bulk: the kernel has joined several.
    private static let bulk = 8192

    /// The length that was requested last.
    package private(set) var packets = wide
    private var began: Instant?
    private var count = 0
    private var bytes = 0
    private var turns = 0
    private var fullTurns = 0
    private var bulkAt = Instant.origin
    /// Windows full of bulk, one after the other.
    private var fullWindows = 0

    package init() {}

    /// A turn has read so much; `isFull` where it left packets in the queue. Returns the new length, if it changes.
    package mutating func turn(packets count: Int, bytes: Int, isFull: Bool, now: Instant) -> Int? {
        let began = self.began ?? now
        self.began = began
        self.count += count
        self.bytes += bytes
        turns += 1
        if isFull { fullTurns += 1 }
        let age = now - began
        guard age >= QueueLength.window else { return nil }
        defer { (self.began, self.count, self.bytes, turns, fullTurns) = (now, 0, 0, 0, 0) }
        // A window with a pause in it does not show what can be carried.
        let isBulk =
            age < QueueLength.window * 2 && fullTurns * 2 >= turns && self.bytes >= QueueLength.bulk * self.count
        fullWindows = isBulk ? fullWindows + 1 : 0
        guard isBulk else { return widen(now) }
        bulkAt = now
        guard fullWindows > 1 else { return nil }
        let carried = self.count * Int(QueueLength.patience.nanoseconds) / max(1, Int(age.nanoseconds))
        let length = min(max(carried, QueueLength.least), QueueLength.wide)
        guard length >= packets * 2 || length * 2 <= packets else { return nil }
        packets = length
        return length
    }

    /// To be called periodically, since after a bulk transfer there may be no more turns.
    package mutating func widen(_ now: Instant) -> Int? {
        guard packets != QueueLength.wide, now - bulkAt >= QueueLength.memory else { return nil }
        packets = QueueLength.wide
        return packets
    }
}
