import Base
import Control
import Mesh
import Noise
import OrderedCollections
import Wire

/// A program under test: a whole endpoint, controller or agent, and its datagrams.
protocol Target: AnyObject {
    var name: String { get }
    var node: NodeID { get }
    var address: SocketAddress { get }
    var deadline: Instant? { get }
    func received(_ batch: inout DatagramBatch, now: Instant)
    func tick(now: Instant)
    /// Appends what is to be sent, and empties the outbox.
    func drain(now: Instant, into wire: inout [Flying])
    /// A violated law of this target; `nil` if there is none.
    func complaint(now: Instant) -> String?
}

struct Flying {
    var from: SocketAddress
    var to: SocketAddress
    var bytes: [UInt8]
}

extension DatagramBatch {
    mutating func drain(from: SocketAddress, into wire: inout [Flying]) {
        for index in 0..<count { wire.append(Flying(from: from, to: entries[index].remote, bytes: bytes(at: index))) }
        removeAll()
    }
}
