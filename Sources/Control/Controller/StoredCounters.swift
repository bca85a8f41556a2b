package import Base

/// Numbers that only rise, and what they count.
package struct StoredCounters: Hashable, Sendable {
    /// Of the next certificate.
    package var serial: UInt64 = 1
    /// Of the next run of any worker. One row for all names, so a name that was removed and is used again never gets a
    /// generation that it had before.
    package var generation: UInt64 = 1
    /// Of the next remembered operation.
    package var operation: UInt64 = 1
    /// Of the next node's IPv4 overlay address, counted from the network's first one. The controller has 1.
    package var overlay: UInt64 = OverlayPool.firstOfNodes
    /// The network that they are counted in; `nil` in a store that was written before there was one.
    package var overlayNetwork: IPPrefix?

    package init() {}
}
