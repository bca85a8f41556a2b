package import Base

/// # How long the interface's queue may be
///
/// A queue in packets holds 30 KB of 64-byte datagrams or 30 MB of super-packets. Long, it makes everybody behind a bulk
/// transfer wait; short, it loses the small bursts that others send. Only the time matters that a packet waits there, and
/// that is known: while the queue does not run empty, what is read is all that this machine can carry.
///
/// So the queue is `wide` until bulk fills it, then as long as what is carried in `patience`, and wide again when bulk has
/// been gone for a while. A change is not free: packets beyond the new length are lost, and in the kernel there is an
/// instant in which nothing passes. So there are few: a transfer is given time to find its speed, and a length is good
/// until it is wrong by half.
package struct QueueLength: Sendable {
    /// As long as other tunnels have it, in packets.
    package static let wide = 500
    private static let least = 32
    /// How long a packet should wait behind others.
    private static let patience = Interval.microseconds(4500)
    private static let window = Interval.milliseconds(50)
    private static let memory = Interval.seconds(60)
    /// Bytes of a packet from which on it is bulk: the kernel has joined several.
    private static let bulk = 8192

    /// The length that was asked for last.
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

    /// A turn has read so much; `isFull` where it left something in the queue. The new length, if there is one.
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
        // A window with a pause in it reports nothing of what can be carried.
        let isBulk =
            age < QueueLength.window * 2 && fullTurns * 2 >= turns && self.bytes >= QueueLength.bulk * self.count
        fullWindows = isBulk ? fullWindows + 1 : 0
        guard isBulk else { return widen(now) }
        bulkAt = now
        guard fullWindows > 1 else { return nil }
        let carried = self.count * Int(QueueLength.patience.nanoseconds) / max(1, Int(age.nanoseconds))
        let desired = min(max(carried, QueueLength.least), QueueLength.wide)
        guard desired >= packets * 2 || desired * 2 <= packets else { return nil }
        packets = desired
        return desired
    }

    /// To be asked now and then, since after bulk there may be no more turns.
    package mutating func widen(_ now: Instant) -> Int? {
        guard packets != QueueLength.wide, now - bulkAt >= QueueLength.memory else { return nil }
        packets = QueueLength.wide
        return packets
    }
}
