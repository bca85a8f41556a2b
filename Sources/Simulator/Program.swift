import Base
import Control
import Wire

/// One life of a program on a machine: from its start to its crash. The agent and the controller are the two; both are
/// shells around the same values that the daemons drive.
protocol Program: AnyObject {
    func received(_ batch: inout DatagramBatch, now: Instant, wall: UnixTime)
    func tick(now: Instant, wall: UnixTime)
    /// In the program's own time.
    var deadline: Deadline? { get }
    /// Hands over what the program wants done since the last time, in order.
    func takeEffects(_ effects: inout [Effect])
    /// Hands over its datagrams, which go behind the effects, and forgets them.
    func takeDatagrams(_ body: (inout DatagramBatch) -> Void)
    /// What it holds, and how much of it it may hold.
    func holdings(now: Instant) -> [(what: String, count: Int, limit: Int)]
}

/// What a program wants done. Everything behind a `persist` waits until that is durable.
enum Effect {
    case persist(Write)
    case launch(WorkerRef, WorkerSpec)
    case signal(WorkerRef, Int32)
    case killTree(WorkerRef)
    case remove(WorkerRef)
    case check(operation: UInt64, WorkerSpec)
    case controllerReply(RequestID, Result<ControllerReply, APIError>)
    case agentReply(RequestID, isSuccess: Bool)
    /// A slot of the pool, held back behind a write.
    case datagram(Int32)
    /// The program has nothing more to do, and ends by itself.
    case exit
}

enum Write {
    case agentRecord([UInt8])
    case membership([UInt8])
    case store([StoreChange])
}
