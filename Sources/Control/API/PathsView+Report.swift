import Base
import Mesh
import Wire

extension PathsView {
    init(of report: PathReport, now: Instant) {
        node = report.node
        name = report.name
        path = report.path.map { $0.isRelayed ? .relayed : .direct } ?? .none
        reason = report.relayReason?.rawValue
        ownMapping = "\(report.ownMapping)"
        peerMapping = "\(report.peerMapping)"
        datagramBytes = report.datagramBytes
        paths = report.paths.map { Path(of: $0) }
        transitions = report.transitions.map { transition in
            Transition(
                agoMilliseconds: (now - transition.at).milliseconds, from: transition.from?.remote,
                fromIsRelayed: transition.from?.isRelayed ?? false, to: transition.to.remote,
                toIsRelayed: transition.to.isRelayed, cause: transition.cause.rawValue)
        }
    }
}

extension PathsView.Path {
    fileprivate init(of facts: PathSet.Facts) {
        self.init(
            address: facts.address.remote, isRelayed: facts.address.isRelayed, isPrimary: facts.isPrimary,
            isAlive: facts.isAlive, roundTripMicroseconds: facts.roundTrip.map { $0.nanoseconds / 1000 },
            sinceAnsweredMilliseconds: facts.sinceAnswered?.milliseconds,
            sinceHeardMilliseconds: facts.sinceHeard?.milliseconds, missed: facts.missed,
            barredMilliseconds: facts.barredFor?.milliseconds, isPunching: facts.isPunching)
    }
}
