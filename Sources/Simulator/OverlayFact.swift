package import Base
package import Control
import Wire

/// What can be seen of the overlay on one machine.
package enum OverlayFact {
    /// A program on the machine sends to an overlay address that its agent has no session for.
    case overlayRequested(IPAddress, isNobodys: Bool)
    /// A program has sent a packet with that number through the overlay to another machine.
    case packetSent(UInt64, to: Int)
    /// A packet came out; `nil` for one that was never sent in this form.
    case packetCame(UInt64?)
    /// The result that the agent reports: a session, or a failure.
    case ended(IPAddress, OverlayFailure?)
    /// The agent's life is over.
    case forgotten
    /// The agent was paused and continues.
    case delayed
}
