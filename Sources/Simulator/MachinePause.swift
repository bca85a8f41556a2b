import Base

/// A program's pause (SIGSTOP, or a suspended machine): events are held meanwhile, in order.
struct MachinePause {
    /// What a socket holds while it is not read: some 200 KiB, of which small datagrams use 768 bytes each.
    private static let socketBuffer = 270

    /// `nil` where the program runs.
    private(set) var until: Instant?
    private(set) var held: [Event] = []
    private var datagrams = 0

    /// Begins a pause, or changes its end.
    mutating func set(until time: Instant) { until = time }

    /// Ends the pause, and returns what was held.
    mutating func end() -> [Event] {
        defer { self = MachinePause() }
        return held
    }

    mutating func hold(_ event: Event) { held.append(event) }

    /// False where the socket's buffer is full.
    mutating func hold(datagram slot: Int32) -> Bool {
        guard datagrams < MachinePause.socketBuffer else { return false }
        datagrams += 1
        held.append(.arrival(datagram: slot))
        return true
    }
}
