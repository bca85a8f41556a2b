package import Base
package import Control
package import Wire

/// What can be seen of a run from outside. Facts are true by construction: they are what the simulated machines did, not
/// what the programs under test believe. What programs say comes in `replied` and `Survey`, and is held against them.
package enum Fact {
    case processStarted(machine: Int, worker: WorkerRef, spec: WorkerSpec, pid: Int32)
    /// No process of it is left. `hasRecord`: its shim lived to write down how it ended.
    case processEnded(machine: Int, worker: WorkerRef, pid: Int32, exit: WorkerExit, hasRecord: Bool)
    case launchFailed(machine: Int, worker: WorkerRef)
    /// The agent had the worker's files deleted; `isAlive`: while a process of it lived.
    case filesRemoved(machine: Int, worker: WorkerRef, isAlive: Bool)
    case asked(Command)
    case replied(Command, Result<ControllerReply, APIError>)
    /// A program asked to be woken at once, again and again.
    case spun(machine: Int, ticks: Int, reason: String)
    /// How many things of one kind a program holds, and how many it may.
    case held(machine: Int, what: String, count: Int, limit: Int)
    /// From here on nothing of the machine can be heard, or it can again.
    case silenced(machine: Int)
    case heardAgain(machine: Int)
    case surveyed(Survey)
    case overlay(machine: Int, OverlayFact)
}

package enum OverlayFact {
    /// Something on the machine sends to an overlay address that its agent has no session for.
    case wished(IPAddress, isNobodys: Bool)
    /// A program has sent a packet with that number through the overlay to another machine.
    case packetSent(UInt64, to: Int)
    /// A packet came out; `nil` for one that nobody has sent so.
    case packetCame(UInt64?)
    /// What the agent says came of it: a session, or a failure.
    case ended(IPAddress, OverlayFailure?)
    /// The agent's life is over.
    case forgotten
    /// The agent stood still and goes on.
    case delayed
}

/// An operator's command. One that is repeated keeps its operation.
package struct Command: Sendable {
    package var index: Int
    package var request: ControllerRequest
    /// It names what is not there, and must be refused.
    package var isNonsense: Bool
    package var isEnd: Bool {
        switch request {
        case .workersStop, .workersRemove: true
        case .workersRun, .status, .nodesList, .nodesGet, .tokensCreate, .tokensList, .tokensRevoke, .workersList,
            .workersGet, .workersLogs, .eventsList, .acceleratorsList, .peersList:
            false
        }
    }
    /// The operation's name, where the request has one.
    package var operation: String? {
        switch request {
        case .workersRun(let run): run.operation
        case .workersStop(let stop): stop.operation
        case .workersRemove(let remove): remove.operation
        case .status, .nodesList, .nodesGet, .tokensCreate, .tokensList, .tokensRevoke, .workersList, .workersGet,
            .workersLogs, .eventsList, .acceleratorsList, .peersList:
            nil
        }
    }
}

/// The truth about the machines beside what the controller says, at one instant.
package struct Survey {
    package struct Machine {
        package var index: Int
        package var node: NodeID
        package var name: String
        /// Its program runs and is not paused.
        package var isUp: Bool
        /// It has a good token, so it should be a member in the end.
        package var isWelcome: Bool
        /// When the controller last got anything from it.
        package var lastHeard: Instant
        package var processes: [(worker: WorkerRef, pid: Int32)]
        /// In the certificate that its disk holds.
        package var overlay4: IPAddress?
    }
    package var machines: [Machine]
    /// `nil` where the controller is down.
    package var nodes: [NodeView]?
    package var workers: [WorkerView]?
    /// For each pair that wanted to talk, whether it did.
    package var pairs: [(from: Int, to: Int, answered: Bool)]
    /// For each pair of a node and another's overlay address, whether it was reached.
    package var wishes: [(from: Int, to: Int, isReached: Bool)] = []
}

/// What a checker found.
package struct Finding: Sendable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// Something happened that never may.
        case correctness
        /// Something did not happen that must in the end.
        case liveness
    }
    package var checker: String
    package var kind: Kind
    package var at: Instant
    package var text: String

    package var description: String { "\(kind.rawValue) (\(checker)) at \(at): \(text)" }
}

/// One property, watched from outside. A checker keeps its own books and knows no other.
package protocol Checker: AnyObject {
    var name: String { get }
    /// What is wrong now and must never be, one text each.
    func observe(_ fact: Fact, now: Instant) -> [String]
    /// What is not yet as it must be in the end; asked again and again once all faults are healed.
    func unsettled(_ survey: Survey, now: Instant) -> [String]
}
