import Base
import EventLoop
import Mesh

/// A machine that asks questions by sockets of its own: what the two of `Mesh` have in common.
protocol NATDiscoveryMachine: ~Copyable {
    mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout DatagramBatch)
    mutating func tick(now: Instant, into out: inout DatagramBatch)
    /// Nothing comes back from there.
    mutating func unreachable(_ remote: SocketAddress, now: Instant, into out: inout DatagramBatch)
    var deadline: Deadline? { get }
    var isDone: Bool { get }
}

extension NATDiscovery: NATDiscoveryMachine {}

extension LifetimeDiscovery: NATDiscoveryMachine {
    var isDone: Bool { result != nil }
    /// What is sent again may get through; in the end silence counts the same.
    mutating func unreachable(_ remote: SocketAddress, now: Instant, into out: inout DatagramBatch) {}
}
