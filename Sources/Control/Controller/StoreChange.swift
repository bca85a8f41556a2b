/// # What a controller keeps on disk
///
/// The controller decides in memory. The changes instruct its shell what to write, row by row. All changes of one `persist`
/// belong to one transaction. Anything behind a `persist` in the outbox (a reply, a datagram) happens only after it is
/// durable. Reports of agents are not stored: agents are the truth about them, and report again.
package enum StoreChange: Hashable, Sendable {
    /// Numbers that only rise.
    case counters(StoredCounters)
    case node(NodeRecord)
    case token(TokenRecord)
    case worker(PlacementRecord)
    case removeWorker(name: String)
    case operation(OperationRecord)
    /// Operations up to and with this number are forgotten.
    case forgetOperations(through: UInt64)
    case event(EventView)
}
