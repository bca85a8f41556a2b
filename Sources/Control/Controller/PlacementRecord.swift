package import Base
package import Wire

/// A worker in desired state, to run or to be ended.
package struct PlacementRecord: Hashable, Sendable {
    package var node: NodeID
    package var desired: DesiredWorker

    package init(node: NodeID, desired: DesiredWorker) {
        self.node = node
        self.desired = desired
    }
}
