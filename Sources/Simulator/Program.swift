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
    /// What it holds in a fleet of so many machines, and how much of it it may hold.
    func holdings(machines: Int, now: Instant) -> [Holding]
}

struct Holding {
    var what: String
    var count: Int
    var limit: Int

    /// Sessions are with the fleet's machines and a limited number of strangers; and one control stream is in use with each
    /// peer, beside which some may be about to close.
    static func of(_ peers: [PeerView], machines: Int) -> [Holding] {
        [
            Holding(what: "sessions", count: peers.count, limit: machines + Limits.anonymousSessions),
            Holding(what: "streams of one session", count: peers.map(\.openStreams).max() ?? 0, limit: 8),
        ]
    }
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
    case resolve([HostPort])
    /// What came of an overlay address that was wanted.
    case wishEnded(IPAddress, OverlayFailure?)
    /// An IP packet has come out of the overlay.
    case packet([UInt8])
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
