package import Base
package import Wire

/// Events that an operator needs to see in a node's log: each is one line there. The core decides what is logged, the shell
/// writes it.
package enum AgentNotice: Hashable, Sendable {
    case joined(name: String, fleet: FleetID)
    /// A token was refused, with the reason.
    case joinRefused(String)
    /// A token is well-formed, and no controller has answered yet.
    case joinWaiting(places: [String])
    /// A token of this node's own fleet has named other addresses.
    case controllersChanged(places: [String])
    /// A member has started, and no controller has answered since.
    case controllerAbsent(places: [String])
    case controllerLost(NodeID, ControllerLoss)
    /// `nil`: for the first time since the start.
    case controllerFound(NodeID, after: Interval?)
    case clockDiffers(own: UnixTime, controller: UnixTime)
    case clockAgrees
    /// The certificate expires soon, and no controller has renewed it.
    case certificateEnds(UnixTime)
    /// A certificate with another name, site or labels has come.
    case describedAs(NodeDescription)
    /// The controller does not accept this node's name, site or labels, with the reason.
    case descriptionRefused(String)
}
