import Base
import Mesh
import Wire

// Requests of the local user. Each verb is implemented by its file in `API`.

extension Agent {
    mutating func handle(_ request: AgentRequest, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        request.verb.apply(to: &self, id, now: now, into: &out)
    }

    func status(now: Instant) -> StatusView {
        var view = core.status(now: now)
        view.joinProblem = enroller.problem
        view.descriptionProblem = certificate.problem
        view.revision = supervisor.revision
        view.workersActive = supervisor.activeCount
        view.workersTotal = supervisor.statuses.count
        view.verdict = health.worst
        return view
    }

    /// One line about this node's place in its fleet, as service managers show it.
    package var summary: String { core.summary(joinProblem: enroller.problem) }
}
