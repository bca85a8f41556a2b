import Base

/// A gateway counts the seconds since it began to keep mappings. If its count does not match our clock, it has restarted and
/// lost them.
struct GatewayEpoch: Sendable {
    private var last: (seconds: Int64, at: Instant)?

    /// Compares the count of an answer; true if the gateway has lost its mappings since the one before. NAT-PMP has
    /// the rule of RFC 6886, section 3.6, which forgives a count that runs fast; PCP that of RFC 6887, section 8.5.
    mutating func hasRestarted(_ epochSeconds: UInt32, isPCP: Bool, now: Instant) -> Bool {
        let present = Int64(epochSeconds)
        defer { last = (present, now) }
        guard let last else { return false }
        let ours = (now - last.at).seconds, theirs = present - last.seconds
        guard isPCP else { return theirs < ours - ours / 8 - 2 }
        // It may run a sixteenth fast or slow, and be two seconds off by rounding.
        return theirs < -1 || ours + 2 < theirs - theirs / 16 || theirs + 2 < ours - ours / 16
    }
}
