/// What the shell reads back when the controller starts.
package struct StoredState: Hashable, Sendable {
    package var counters = StoredCounters()
    package var nodes: [NodeRecord] = []
    package var tokens: [TokenRecord] = []
    package var workers: [PlacementRecord] = []
    /// By rising number.
    package var operations: [OperationRecord] = []
    /// The newest ones, by rising id.
    package var events: [EventView] = []

    package init() {}
}
