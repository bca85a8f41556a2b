/// Which peers may measure throughput to this node, with a server that it opens. All are members of the fleet.
package enum BenchPermission: String, Hashable, Sendable, CaseIterable {
    /// Those that may reach everything here: of the same application, or by a rule without limits.
    case auto
    /// All; their packets need rules like others'.
    case allow
    case off
}
