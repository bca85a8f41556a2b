package import Base
package import Control
package import Wire

/// The true state of the machines, and what the controller reports, at one instant.
package struct FleetSnapshot {
    package struct Machine {
        package var index: Int
        package var node: NodeID
        package var name: String
        /// Its program runs and is not paused.
        package var isUp: Bool
        /// It has a good token, so it should be a member in the end.
        package var isWelcome: Bool
        /// When the controller last got anything from it.
        package var lastReceived: Instant
        package var processes: [(worker: WorkerRef, pid: Int32)]
        /// In the certificate that its disk holds.
        package var overlay4: IPAddress?
    }
    package var machines: [Machine]
    /// `nil` where the controller is down.
    package var nodes: [NodeView]?
    package var workers: [WorkerView]?
    /// For each pair that exchanges pings, whether it got an answer.
    package var pairs: [(from: Int, to: Int, answered: Bool)]
    /// For each pair of a node and another's overlay address, whether it was reached.
    package var overlayRequests: [(from: Int, to: Int, isReached: Bool)] = []
}
