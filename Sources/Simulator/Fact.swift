import Base
package import Control
package import Wire

/// What can be seen of a run from outside. Facts are true by construction: they are what the simulated machines did, not
/// what the programs under test believe. What programs report comes in `replied` and `FleetSnapshot`, and is compared with
/// the facts.
package enum Fact {
    case processStarted(machine: Int, worker: WorkerRef, spec: WorkerSpec, pid: Int32)
    /// No process of it is left. `hasRecord`: its shim lived long enough to record how it ended.
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
    /// From now on nothing from the machine can be received, or it can again.
    case silenced(machine: Int)
    case receivedAgain(machine: Int)
    case snapshot(FleetSnapshot)
    case overlay(machine: Int, OverlayFact)
}
