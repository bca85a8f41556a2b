import Base
import Control
import Wire

/// An effect that a program requests. All effects after a `persist` wait until that is durable.
enum Effect {
    case persist(Write)
    case launch(WorkerRef, WorkerSpec)
    case signal(WorkerRef, Int32)
    case killTree(WorkerRef)
    case remove(WorkerRef)
    case check(operation: UInt64, WorkerSpec)
    case controllerReply(RequestID, Result<ControllerReply, APIError>)
    case agentReply(RequestID, isSuccess: Bool)
    case resolve([HostPort])
    /// The result of a request for an overlay address.
    case requestEnded(IPAddress, OverlayFailure?)
    /// An IP packet has come out of the overlay.
    case packet([UInt8])
    /// A slot of the pool, held back until a write is durable.
    case datagram(Int32)
    /// The program has nothing more to do, and ends by itself.
    case exit
}
