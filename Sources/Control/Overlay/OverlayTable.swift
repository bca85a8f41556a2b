import Base
import Mesh
import OrderedCollections
import Wire

/// # Packets that wait for a session
///
/// The packet path has sessions and routes and sends no requests. Where it has a packet for an overlay address and no
/// session, it reports the address, and drops or keeps the packet. From then on the address is in this table, once, however
/// many packets come, until the search has ended.
///
/// ```
///  requested ── the finder: a route ──→ reachable
///    │
///    └── nobody, or silence ──→ unreachable; a `no` is remembered for a while
/// ```
///
/// All entries, remembered answers too, count against one limit. So a scan of the whole network from here asks the
/// controller at most `Limits.overlayRequested` times in `memory`.
struct OverlayTable: Sendable {
    private enum Entry: Hashable {
        /// The finder looks for it.
        case requested
        /// The search has failed: the answer, and until when it is remembered.
        case failed(OverlayFailure, until: Instant)
    }
    private var entries = OrderedDictionary<IPAddress, Entry>()

    private static let memory = Interval.seconds(5)
    /// Given up after twelve seconds, and after five if there was no controller to ask. Asked three times at most.
    private static let findPatience = PeerFinder.Patience(
        total: .seconds(12), controller: .seconds(5), answers: [.seconds(1), .seconds(2), .seconds(2)])

    var deadline: Deadline? {
        var first: Instant?
        for case .failed(_, let until) in entries.values { first = first.map { min($0, until) } ?? until }
        return first.map { Deadline($0, "overlay address") }
    }

    /// A packet waits for this address.
    mutating func request(
        _ address: IPAddress, finder: inout PeerFinder, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) {
        func refuse(_ failure: OverlayFailure, _ out: inout AgentOutbox) {
            out.actions.append(.overlayUnreachable(address, failure))
        }
        guard let place = core.overlay, core.departure == .none else { return refuse(.noController, &out) }
        guard !place.contains(address) else { return refuse(.refused, &out) }
        let network = address.isIPv4 ? place.network4 : place.network6
        guard network?.contains(address) ?? true else { return refuse(.noSuchAddress, &out) }
        switch entries[address] {
        case .requested: return
        case .failed(let failure, let until):
            if until > now { return refuse(failure, &out) }
            entries.removeValue(forKey: address)
        case nil: break
        }
        guard entries.count < Limits.overlayRequested else { return refuse(.tooMany, &out) }
        entries[address] = .requested
        // It waits for a controller to ask, so it does not fail here.
        _ = finder.begin(
            PeerFinder.Request(
                purpose: .overlay(address), asked: .address(address), name: nil, goal: .route,
                patience: OverlayTable.findPatience),
            core: &core, now: now)
    }

    /// Routes that were found, or not.
    mutating func apply(
        _ results: [PeerFinder.Result], endpoint: borrowing Endpoint, now: Instant, into out: inout AgentOutbox
    ) {
        for result in results {
            guard case .overlay(let address) = result.purpose else { continue }
            switch result.outcome {
            case .found(let node, _):
                entries.removeValue(forKey: address)
                if let shown = endpoint.certificate(of: node) { forgetFailures(of: shown.overlayAddresses) }
                out.actions.append(.overlayReachable(address))
            case .failed(let reason):
                let (failure, isAnswer) = OverlayFailure.of(reason)
                entries[address] = isAnswer ? .failed(failure, until: now + OverlayTable.memory) : nil
                out.actions.append(.overlayUnreachable(address, failure))
            case .relays: break
            }
        }
    }

    /// A peer shows these addresses: remembered failures of them are removed.
    mutating func forgetFailures(of addresses: [IPAddress]) {
        for address in addresses {
            if case .failed = entries[address] { entries.removeValue(forKey: address) }
        }
    }

    mutating func service(now: Instant) {
        guard let first = deadline, first.at <= now else { return }
        entries.removeAll {
            if case .failed(_, let until) = $0.value { until <= now } else { false }
        }
    }
}

extension OverlayFailure {
    /// `isAnswer`: it was refused, and would be refused again.
    fileprivate static func of(_ failure: PeerFinder.Failure) -> (failure: OverlayFailure, isAnswer: Bool) {
        switch failure {
        case .noController: (.noController, false)
        case .timeout, .noAnswer(_, .timeout): (.noAnswer, false)
        case .unknown: (.noSuchAddress, true)
        case .nowhere: (.noAnswer, true)
        case .unproven, .isThisNode, .notShown, .noAnswer(_, .certificate), .noAnswer(_, .tooManySessions):
            (.refused, true)
        }
    }
}
