import Base

/// The signal by which an agent commands a shim: SIGRTMIN + 1 of glibc. Its value (sigqueue(3)) is a `ShimCommand`.
/// SIGTERM and SIGINT, sent by people, mean `stop` with the worker's own stop signal.
package let shimCommandSignal: Int32 = 35

/// What an agent commands a shim, as the one integer that a signal carries.
///
/// `stop` and `grace` are two commands, because shims of earlier versions know positive values only: they send the signal
/// to the worker's process group and ignore the grace.
package enum ShimCommand: Hashable, Sendable {
    /// The signal, 1 to 64 without 9, goes once to every process of the worker. Processes that are left when the main process
    /// has ended then have the grace period. The same signal again changes nothing.
    case stop(signal: Int32)
    /// SIGKILL goes to every process that is left after so many seconds. A later command may shorten that, not extend it.
    case grace(seconds: Int32)
    /// SIGKILL to every process of the worker, now and until none is left.
    case kill

    package init?(value: Int32) {
        switch value {
        case 9: self = .kill
        case 1...64: self = .stop(signal: value)
        case ..<0: self = .grace(seconds: -1 - value)
        default: return nil
        }
    }

    package var value: Int32 {
        switch self {
        case .stop(let signal): signal
        case .grace(let seconds): -1 - seconds
        case .kill: 9
        }
    }

    /// Seconds of grace, from the end of the main process on, where `grace` was not sent: the default of `StopPolicy`.
    package static let unstatedGrace: Int32 = 10
}
