package import Base
import Wire

package enum ControllerInput: Hashable, Sendable {
    /// The wall-clock time. It must be given at least once a minute, and after a step of the clock.
    case clock(UnixTime)
    /// Where agents reach this controller has changed: addresses ...
    case addresses([SocketAddress])
    /// ... or names.
    case names([HostPort])
    case request(RequestID, ControllerRequest)
    /// The program ends.
    case stopping
}
