/// Which peers may have this node open a server to be measured with. All are members of the fleet.
package enum BenchPermission: String, Hashable, Sendable, CaseIterable {
    /// Those that may reach everything here: of the same application, or by a rule without limits.
    case auto
    /// All; their packets need rules like others'.
    case allow
    case off
}
