import Base
package import EventLoop
package import Logging

/// Lines of the log that report to an operator what happens in the fleet: one line for each event, structured and limited in
/// rate. After a burst of `burst` lines, `perSecond` lines a second are written. The number of omitted lines is logged before
/// the next line that is written.
package struct OperatorLog {
    private let log: Logger
    private let loop: Loop
    private var level: Int
    private var filledAt: Instant
    private var omitted = 0

    private let burst: Int
    private let perSecond: Int64

    package init(_ log: Logger, on loop: Loop, burst: Int = 200, perSecond: Int64 = 10) {
        (self.burst, self.perSecond) = (burst, perSecond)
        self.log = log
        self.loop = loop
        level = burst
        filledAt = loop.now
    }

    package mutating func write(_ level: Logger.Level, _ message: String, _ metadata: [String: String] = [:]) {
        guard takeRoom() else {
            omitted += 1
            return
        }
        if omitted > 0 {
            log.warning("lines were left out: too many at once", metadata: ["count": "\(omitted)"])
            omitted = 0
        }
        log.log(level: level, "\(message)", metadata: metadata.mapValues { "\($0)" })
    }

    private mutating func takeRoom() -> Bool {
        let more = (loop.now - filledAt).milliseconds * perSecond / 1000
        if more > 0 {
            level = min(burst, level + Int(min(more, Int64(burst))))
            filledAt = loop.now
        }
        guard level > 0 else { return false }
        level -= 1
        return true
    }
}
