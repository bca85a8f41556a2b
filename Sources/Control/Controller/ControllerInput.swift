package import Base
import Wire

package enum ControllerInput: Hashable, Sendable {
    /// What the wall clock reports; to be reported at least once a minute, and after a step.
    case clock(UnixTime)
    /// Where agents reach this controller has changed: addresses ...
    case addresses([SocketAddress])
    /// ... or names.
    case names([HostPort])
    case request(RequestID, ControllerRequest)
    /// The program ends.
    case stopping
}
