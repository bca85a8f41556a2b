import Base
import Wire

/// One life of a program on a machine: from its start to its crash. The agent and the controller are the two; both are
/// shells around the same values that the daemons drive.
protocol Program: AnyObject {
    func received(_ batch: inout DatagramBatch, now: Instant, wall: UnixTime)
    func tick(now: Instant, wall: UnixTime)
    /// In the program's own time.
    var deadline: Deadline? { get }
    /// Hands over what the program needs done since the last time, in order.
    func takeEffects(_ effects: inout [Effect])
    /// Hands over its datagrams, which go behind the effects, and forgets them.
    func takeDatagrams(_ body: (inout DatagramBatch) -> Void)
    /// What it holds in a fleet of so many machines, and how much of it it may hold.
    func holdings(machines: Int, now: Instant) -> [Holding]
}
