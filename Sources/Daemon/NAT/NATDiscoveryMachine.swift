import Base
import EventLoop
import Mesh

/// A state machine that sends requests from its own sockets: what the two of `Mesh` have in common.
protocol NATDiscoveryMachine: ~Copyable {
    mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout DatagramBatch)
    mutating func tick(now: Instant, into out: inout DatagramBatch)
    /// No answer will come from there.
    mutating func unreachable(_ remote: SocketAddress, now: Instant, into out: inout DatagramBatch)
    var deadline: Deadline? { get }
    var isDone: Bool { get }
}

extension NATDiscovery: NATDiscoveryMachine {}

extension LifetimeDiscovery: NATDiscoveryMachine {
    var isDone: Bool { result != nil }
    /// A retransmission may get through; in the end, silence has the same result.
    mutating func unreachable(_ remote: SocketAddress, now: Instant, into out: inout DatagramBatch) {}
}
