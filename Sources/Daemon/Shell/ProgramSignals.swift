import Base
package import EventLoop
import Glibc

/// The signals and the service manager of each daemon. It stops cleanly on SIGTERM and SIGINT, reads its configuration again
/// on SIGHUP, and ignores SIGPIPE. It reports its state to systemd, and notifies the watchdog from the loop, so that a loop
/// that hangs is detected.
package final class ProgramSignals {
    private let loop: Loop
    private var signals: [Signal] = []
    private var feeding: Timer?
    private let notifier: ServiceNotifier?
    /// The status that the service manager has.
    private var shown: String?

    /// `environment` looks up a variable of the process.
    package init(
        on loop: Loop, environment: (String) -> String?, onStop: @escaping () -> Void,
        onReload: @escaping () -> Void
    ) throws(Errno) {
        self.loop = loop
        notifier = ServiceNotifier(
            socket: environment("NOTIFY_SOCKET"), watchdogMicroseconds: environment("WATCHDOG_USEC"),
            watchdogPID: environment("WATCHDOG_PID"))
        signal(SIGPIPE, SIG_IGN)
        for (name, number) in [("SIGTERM", SIGTERM), ("SIGINT", SIGINT)] {
            signals.append(try Signal(on: loop, name, number: number) { onStop() })
        }
        let notifier = notifier
        signals.append(
            try Signal(on: loop, "SIGHUP", number: SIGHUP) {
                // sd_notify(3): the manager waits for READY=1.
                try? notifier?.reloading()
                onReload()
                try? notifier?.ready()
            })
        if let notifier, let watchdog = notifier.watchdog {
            let timer = Timer(on: loop, "watchdog") { try? notifier.alive() }
            timer.arm(every: watchdog / 3)
            feeding = timer
        }
    }

    package func ready(_ status: String) {
        shown = status
        try? notifier?.ready(status: status)
    }

    /// Sends the status if it has changed.
    package func status(_ status: String) {
        guard status != shown else { return }
        shown = status
        try? notifier?.status(status)
    }

    package func stopping(_ status: String) { try? notifier?.stopping(status: status) }

    package func close() {
        for signal in signals { signal.close() }
        signals = []
        feeding?.close()
    }
}
