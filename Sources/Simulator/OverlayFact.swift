package import Base
package import Control
import Wire

/// What can be seen of the overlay on one machine.
package enum OverlayFact {
    /// Something on the machine sends to an overlay address that its agent has no session for.
    case overlayRequested(IPAddress, isNobodys: Bool)
    /// A program has sent a packet with that number through the overlay to another machine.
    case packetSent(UInt64, to: Int)
    /// A packet came out; `nil` for one that nobody has sent so.
    case packetCame(UInt64?)
    /// What the agent reports came of it: a session, or a failure.
    case ended(IPAddress, OverlayFailure?)
    /// The agent's life is over.
    case forgotten
    /// The agent stood still and goes on.
    case delayed
}
