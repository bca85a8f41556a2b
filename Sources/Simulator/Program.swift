import Base
import Wire

/// One life of a program on a machine: from its start to its crash. The agent and the controller are the two; both are
/// shells around the same values that the daemons drive.
protocol Program: AnyObject {
    func received(_ batch: inout DatagramBatch, now: Instant, wall: UnixTime)
    func tick(now: Instant, wall: UnixTime)
    /// In the program's own time.
    var deadline: Deadline? { get }
    /// Hands over the effects that the program has requested since the last call, in order.
    func takeEffects(_ effects: inout [Effect])
    /// Hands over its datagrams, which follow the effects, and discards them.
    func takeDatagrams(_ body: (inout DatagramBatch) -> Void)
    /// How much it holds in a fleet of so many machines, and how much it may hold.
    func holdings(machines: Int, now: Instant) -> [Holding]
}
