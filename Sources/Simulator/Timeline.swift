package import Base

/// # The log of a run
///
/// One line for each event: when, at which machine, what, and up to three numbers or a text that distinguish it from others
/// of its kind. The lines go into a fingerprint at once, by their values and not as text, so that a run without a watcher
/// does not pay for text. Two runs of one seed must give the same fingerprint; a datagram goes in with its authentication
/// tag, so that a single different bit in any datagram changes the fingerprint.
package struct Timeline {
    package enum Kind: UInt8, Sendable {
        case sent, lost, arrived, duplicated, refusedByPartition, queueFull, unreachable
        case started, crashed, paused, resumed, rebooted, roamed, clockStepped
        case partitioned, healed, clogged
        case tick, persisted, processStarted, processEnded, signalled, treeKilled, launchFailed, filesRemoved
        case asked, answered, refused, gaveUp, informed, fault, junk, event, checked
        case overlayRequested, reached, notReached, packetSent, packetCame
    }

    private var fingerprint = Fingerprint()
    package private(set) var count = 0
    /// Gets each line as it comes; `nil` where there is no watcher.
    private let watcher: ((String) -> Void)?

    package init(watcher: ((String) -> Void)? = nil) { self.watcher = watcher }

    /// 16 hexadecimal digits.
    package var hash: String { fingerprint.value.hex16 }

    /// `machine` is -1 for what concerns none.
    package mutating func record(
        _ kind: Kind, _ machine: Int, at now: Instant, _ a: UInt64 = 0, _ b: UInt64 = 0,
        _ text: @autoclosure () -> String = ""
    ) {
        count += 1
        mix(now.nanoseconds)
        mix(UInt64(kind.rawValue) << 32 | UInt64(UInt32(truncatingIfNeeded: machine)))
        mix(a)
        mix(b)
        if let watcher { watcher(line(kind, machine, now, a, b, text())) }
    }

    /// As `record`, for the rare line whose text is what matters.
    package mutating func record(_ kind: Kind, _ machine: Int, at now: Instant, note text: String) {
        fingerprint.combine(text)
        record(kind, machine, at: now, 0, 0, text)
    }

    private mutating func mix(_ word: UInt64) { fingerprint.combine(word) }

    private func line(
        _ kind: Kind, _ machine: Int, _ now: Instant, _ a: UInt64, _ b: UInt64, _ text: String
    ) -> String {
        let seconds = now.nanoseconds / 1_000_000_000
        let rest = String(String(1_000_000_000 + now.nanoseconds % 1_000_000_000).dropFirst())
        let who = machine < 0 ? "-" : machine == 0 ? "controller" : "node-\(machine)"
        var line = "\(seconds).\(rest) \(who) \(kind)"
        if a != 0 || b != 0 { line += " \(a) \(b.hex16)" }
        return text.isEmpty ? line : line + " " + text
    }
}

extension UInt64 {
    /// 16 hexadecimal digits.
    var hex16: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
