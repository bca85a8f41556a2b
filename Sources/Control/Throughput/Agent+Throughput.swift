import Base
import Mesh
import Wire

// The local user measures the throughput to a peer.

extension Agent {
    mutating func begin(_ bench: AgentRequest.Bench, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let seconds = bench.seconds ?? 20
        guard (1...Int64(Limits.benchSeconds)).contains(seconds) else {
            return out.refuse(
                id, .invalid, "must be 1 to \(Limits.benchSeconds), not \(seconds)", field: "seconds")
        }
        guard core.configuration.mesh.hasDataPlane else {
            return out.refuse(id, .unavailable, "this node has no network interface of the overlay")
        }
        guard !throughput.isFull else {
            return out.refuse(id, .limit, "\(Limits.benchJobs) measurements are being begun")
        }
        guard let (asked, known) = core.target(bench.peer, id, now: now, into: &out) else { return }
        throughput.begin(
            seconds: UInt8(seconds), id, to: asked, known: known?.name, finder: &finder, core: &core, now: now,
            into: &out)
    }
}
