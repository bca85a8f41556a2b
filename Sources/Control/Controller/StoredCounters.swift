package import Base

/// Numbers that only rise, and what they count.
package struct StoredCounters: Hashable, Sendable {
    /// Of the next certificate.
    package var serial: UInt64 = 1
    /// Of the next run of any worker. One row for all names, so that a name that was removed and comes again never meets
    /// a generation of its own past.
    package var generation: UInt64 = 1
    /// Of the next remembered operation.
    package var operation: UInt64 = 1
    /// Of the next node's IPv4 overlay address, counted from the network's first one. The controller has 1.
    package var overlay: UInt64 = OverlayPool.firstOfNodes
    /// The network that those are counted in; `nil` in what was kept before there was one.
    package var overlayNetwork: IPPrefix?

    package init() {}
}
