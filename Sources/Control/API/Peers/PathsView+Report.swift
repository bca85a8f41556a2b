import Base
import Mesh
import Wire

extension PathsView {
    init(of report: PathReport, now: Instant) {
        node = report.node
        name = report.name
        path = report.path.map { $0.isRelayed ? .relayed : .direct } ?? .none
        reason = report.relayReason.map { Reason($0) }
        ownMapping = Mapping(report.ownMapping)
        peerMapping = Mapping(report.peerMapping)
        datagramBytes = report.datagramBytes
        if let bytes = report.datagramBytes, let path = report.path {
            pathMTU = bytes + path.overhead + (path.remote.ip.isIPv4 ? 28 : 48)
        }
        paths = report.paths.map { Path(of: $0, relay: report.relay(of: $0.address)) }
        transitions = report.transitions.map { transition in
            Transition(
                agoMilliseconds: (now - transition.at).milliseconds, from: transition.from?.remote,
                fromIsRelayed: transition.from?.isRelayed ?? false,
                fromRelay: transition.from.flatMap { report.relay(of: $0) },
                fromIsTCP: transition.from?.isTCP ?? false, to: transition.to.remote,
                toIsRelayed: transition.to.isRelayed, toRelay: report.relay(of: transition.to),
                toIsTCP: transition.to.isTCP,
                cause: Cause(transition.cause), doubtMilliseconds: transition.elapsed?.milliseconds)
        }
    }
}

extension PathsView.Path {
    fileprivate init(of facts: PathSet.Facts, relay: String?) {
        self.init(
            address: facts.address.remote, isRelayed: facts.address.isRelayed, relay: relay,
            isTCP: facts.address.isTCP, isPrimary: facts.isPrimary,
            isAlive: facts.isAlive, roundTripMicroseconds: facts.roundTrip.map { $0.nanoseconds / 1000 },
            sinceAnsweredMilliseconds: facts.sinceAnswered?.milliseconds,
            sinceReceivedMilliseconds: facts.sinceReceived?.milliseconds, missed: facts.missed,
            barredMilliseconds: facts.barredFor?.milliseconds, isPunching: facts.isPunching,
            sinceProbedMilliseconds: facts.sinceProbed?.milliseconds,
            probe: facts.probe.map { PathsView.ProbeOutcome($0) })
    }
}

extension PathsView.ProbeOutcome {
    fileprivate init(_ outcome: PathSet.ProbeOutcome) {
        switch outcome {
        case .answered: self = .answered
        case .waiting: self = .waiting
        case .unanswered: self = .unanswered
        }
    }
}

extension PathsView.Cause {
    fileprivate init(_ cause: PathSet.Cause) {
        switch cause {
        case .first: self = .first
        case .better: self = .better
        case .faster: self = .faster
        case .moved: self = .moved
        case .silent: self = .silent
        case .withdrawn: self = .withdrawn
        case .debug: self = .debug
        }
    }
}

extension PathsView.Reason {
    fileprivate init(_ reason: PathReport.RelayReason) {
        switch reason {
        case .trying: self = .trying
        case .noCandidates: self = .noCandidates
        case .bothMappingsDependent: self = .bothMappingsDependent
        case .ownMappingDependent: self = .ownMappingDependent
        case .peerMappingDependent: self = .peerMappingDependent
        case .failed: self = .failed
        case .ownUDPBlocked: self = .ownUDPBlocked
        case .peerUDPBlocked: self = .peerUDPBlocked
        case .blocked: self = .blocked
        case .unknown: self = .unknown
        case .relayOnly: self = .relayOnly
        }
    }
}

extension PathsView.Mapping {
    fileprivate init(_ mapping: NATMapping) {
        switch mapping {
        case .unknown: self = .unknown
        case .none: self = .untranslated
        case .endpointIndependent: self = .endpointIndependent
        case .endpointDependent: self = .endpointDependent
        case .blocked: self = .blocked
        }
    }
}

// Paths as people call them.
extension PathReport {
    /// Of a relayed path: the relay's name, or the first digits of its id; `x, then y` of two.
    func relay(of path: PathAddress) -> String? {
        relays.first { $0.path == path }.map { relay in
            let name = relay.name ?? relay.node.short
            return relay.first.map { "\($0), then \(name)" } ?? name
        }
    }

    /// The paths that `text` means: `direct`, `relay`, an address with a port, a relay's name, or the first digits of its
    /// id. The best one where any is alive, all of them where none is.
    func paths(called text: String) -> [PathAddress] {
        let meant = paths.filter { isCalled(text, $0.address) }
        let alive = meant.filter { $0.isAlive || $0.isPrimary }
        let best = alive.min { a, b in
            if a.isPrimary != b.isPrimary { return a.isPrimary }
            return (a.roundTrip ?? .seconds(60)) < (b.roundTrip ?? .seconds(60))
        }
        return best.map { [$0.address] } ?? meant.map(\.address)
    }

    private func isCalled(_ text: String, _ path: PathAddress) -> Bool {
        if text == "direct" { return !path.isRelayed }
        if text == "relay" { return path.isRelayed }
        if let address = SocketAddress(text) { return path.remote == address }
        guard let relay = relays.first(where: { $0.path == path }) else { return false }
        return relay.name == text || (text.utf8.count >= 4 && relay.node.hex.hasPrefix(text))
    }

    /// The names that are valid, for an error about a name that matches no path.
    var pathNames: String {
        let all = paths.map { facts in
            let address = facts.address
            guard address.isRelayed else { return "\(address.remote)" }
            return relay(of: address).map { "relay \($0) (\(address.remote))" } ?? "relay \(address.remote)"
        }
        return all.isEmpty ? "it has none" : "it has " + all.joined(separator: ", ")
    }
}
