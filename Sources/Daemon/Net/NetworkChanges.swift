package import Base
package import EventLoop
package import Logging

/// Calls back when this machine's addresses and routes are to be read again: a moment after the kernel has announced a
/// change, and in any case every half minute. Where the kernel reports no changes, it is polled each second, which is logged
/// once.
package final class NetworkChanges {
    private let log: Logger
    private let onLook: () -> Void
    private var watch: RouteWatch?
    private var settle: Timer!
    private var again: Timer!

    /// The time from the first message of a change to the last: a link that goes up then has its addresses and routes.
    package static let settleTime = Interval.milliseconds(50)
    package static let lookEvery = Interval.seconds(30)
    package static let pollInterval = Interval.seconds(1)

    package init(on loop: Loop, log: Logger, onLook: @escaping () -> Void) {
        self.log = log
        self.onLook = onLook
        let me = Weak(self)
        settle = Timer(on: loop, "the network has changed") { me.object?.onLook() }
        again = Timer(on: loop, "a look at the network") { me.object?.onLook() }
        do throws(Errno) {
            watch = try RouteWatch(
                on: loop, onChange: { me.object?.changed() }, onEnd: { me.object?.isUnreported($0) })
            again.arm(every: NetworkChanges.lookEvery)
        } catch { isUnreported(error) }
    }

    package func close() {
        watch?.close()
        settle.close()
        again.close()
    }

    private func changed() {
        // A storm of messages must not delay the callback forever.
        if settle.deadline == nil { settle.arm(after: NetworkChanges.settleTime) }
    }

    private func isUnreported(_ reason: Errno) {
        watch = nil
        log.notice(
            "the kernel reports no changes of the network; it is polled each second",
            metadata: ["reason": "\(reason.message)"])
        again.arm(every: NetworkChanges.pollInterval)
    }
}
