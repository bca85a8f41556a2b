import Base
import Mesh
import OrderedCollections
import Wire

/// # Finding a peer
///
/// A feature knows a peer by its name, an overlay address or a NodeID, and needs a session with it. The finder asks the
/// fleet's directory, verifies the answer, connects, and reports how it ended.
///
/// ```
///  asking ── the directory's answer ──→ connecting ── session ──→ found
///    │                                       │
///    └── no, or silence ─────────────────────┴──→ failed, with the reason
/// ```
///
/// Features differ only in the terms of their requests: how long and how often to ask (`Patience`), and what counts as
/// found (`Goal`). Each feature limits the number of its own requests.
///
/// The finder reports by return values. Each feature picks the results of its own purposes.
struct PeerFinder: Sendable {
    /// Who asked, and for what. A purpose has one request at a time.
    enum Purpose: Hashable, Sendable {
        /// The number of the ping's job.
        case ping(UInt64)
        case throughput(RequestID)
        case overlay(IPAddress)
        case relayChain(to: NodeID)
    }

    enum Goal: Hashable, Sendable {
        /// A session with the node that the directory names.
        case session
        /// A session whose peer shows a certificate with the requested address, since packets are routed by the peer's
        /// certificate.
        case route
        /// The relays that lead to the node. No session is made, and the answer is not verified: the node that answers
        /// there must hold the node's key.
        case relays
    }

    struct Patience: Hashable, Sendable {
        /// From the request to the end, once the directory was asked.
        let total: Interval
        /// For a controller to ask. `nil`: a request is refused where there is none.
        let controller: Interval?
        /// The time from one question to the next, and from the last one to the end.
        let answers: [Interval]
    }

    struct Request: Hashable, Sendable {
        let purpose: Purpose
        let asked: LookUp
        /// The name of the peer, if it is known already.
        let name: String?
        let goal: Goal
        let patience: Patience
    }

    enum Failure: Error, Hashable, Sendable {
        /// There is no controller to ask.
        case noController
        /// The directory did not answer, or no session could be made in time.
        case timeout
        /// No node of the fleet is meant.
        case unknown(LookUp)
        /// The directory's answer does not prove its content.
        case unproven
        case isThisNode
        /// The directory does not know where the node is.
        case nowhere(name: String)
        case noAnswer(name: String, ConnectFailure)
        /// The node shows a certificate without the address.
        case notShown
    }

    enum Outcome: Hashable, Sendable {
        case found(NodeID, name: String?)
        /// For `Goal.relays`.
        case relays([RelayedAddress])
        case failed(Failure)
    }

    struct Result: Hashable, Sendable {
        let purpose: Purpose
        let outcome: Outcome
    }

    private enum Stage: Hashable {
        /// `count` times; the next time, or the end of patience with the last one, at `next`.
        case asking(count: Int, next: Instant)
        case connecting
    }

    private struct Search: Sendable {
        let request: Request
        var stage: Stage
        /// When it is given up.
        var until: Instant
        /// The node that is meant, once it is known.
        var node: NodeID?
        var name: String?

        var isAsking: Bool { if case .asking = stage { true } else { false } }
    }

    private var searches = OrderedDictionary<Purpose, Search>()

    /// Where a question could not be queued.
    private static let queuePatience = Interval.seconds(1)

    // MARK: - Requests

    /// Begins a search. Returns why not, where it asks at once and there is no controller to ask.
    mutating func begin(_ request: Request, core: inout AgentCore, now: Instant) -> Failure? {
        var search = Search(request: request, stage: .asking(count: 0, next: now), until: now, name: request.name)
        if case .node(let node) = request.asked { search.node = node }
        if let patience = request.patience.controller {
            search.until = now + patience
        } else {
            guard core.send(.lookUp(request.asked)) else { return .noController }
            search.until = now
            PeerFinder.noteAsked(&search, now: now)
        }
        searches[request.purpose] = search
        return nil
    }

    /// Its result is no longer needed.
    mutating func cancel(_ purpose: Purpose) { searches.removeValue(forKey: purpose) }

    /// The number of searches for relays, without the one for `relay`, which is cancelled. Searches whose time is over are
    /// dropped without a report.
    mutating func relaySearches(except relay: NodeID, now: Instant) -> Int {
        searches.removeAll {
            $0.value.request.goal == .relays && ($0.value.until <= now || $0.key == .relayChain(to: relay))
        }
        return searches.values.count { $0.request.goal == .relays }
    }

    // MARK: - Time

    /// `canAsk`: there is a controller.
    func deadline(canAsk: Bool) -> Deadline? {
        var first: Instant?
        // No caller waits for relays.
        for search in searches.values where search.request.goal != .relays {
            var time = search.until
            if canAsk, case .asking(_, let next) = search.stage { time = min(time, next) }
            first = first.map { min($0, time) } ?? time
        }
        return first.map { Deadline($0, "a search for a peer") }
    }

    /// Ends what has waited long enough.
    mutating func expire(canAsk: Bool, now: Instant) -> [Result] {
        guard let first = deadline(canAsk: canAsk), first.at <= now else { return [] }
        var results: [Result] = []
        for (purpose, search) in searches.elements where search.request.goal != .relays {
            guard let failure = PeerFinder.end(of: search, canAsk: canAsk, now: now) else { continue }
            results.append(Result(purpose: purpose, outcome: .failed(failure)))
        }
        for result in results { searches.removeValue(forKey: result.purpose) }
        return results
    }

    private static func end(of search: Search, canAsk: Bool, now: Instant) -> Failure? {
        guard case .asking(let count, let next) = search.stage else { return search.until <= now ? .timeout : nil }
        if search.until <= now { return count == 0 ? .noController : .timeout }
        let isOver = canAsk && next <= now && count >= search.request.patience.answers.count
        return isOver ? .timeout : nil
    }

    /// Puts the questions that are due.
    mutating func ask(core: inout AgentCore, now: Instant) {
        guard core.canLookUp, let first = deadline(canAsk: true), first.at <= now else { return }
        for index in searches.values.indices {
            guard case .asking(let count, let next) = searches.values[index].stage, next <= now,
                count < searches.values[index].request.patience.answers.count
            else { continue }
            if core.send(.lookUp(searches.values[index].request.asked)) {
                PeerFinder.noteAsked(&searches.values[index], now: now)
            } else {
                searches.values[index].stage = .asking(count: count, next: now + PeerFinder.queuePatience)
            }
        }
    }

    private static func noteAsked(_ search: inout Search, now: Instant) {
        guard case .asking(let count, _) = search.stage else { return }
        let patience = search.request.patience
        // The time without a controller counts too.
        if count == 0 { search.until = search.until + (patience.total - (patience.controller ?? .zero)) }
        search.stage = .asking(count: count + 1, next: now + patience.answers[count])
    }

    // MARK: - The directory's answer

    /// A question that was sent twice is answered twice; the second answer is ignored.
    mutating func apply(
        _ reply: LookUpReply, _ membership: Membership, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) -> [Result] {
        var results: [Result] = []
        if case .node(let node) = reply.asked, searches.removeValue(forKey: .relayChain(to: node)) != nil {
            results.append(Result(purpose: .relayChain(to: node), outcome: .relays(reply.relays)))
        }
        let meant = searches.elements.filter { PeerFinder.answers(reply, $0.value) }.map(\.key)
        guard !meant.isEmpty else { return results }
        switch owner(in: reply, membership, core: &core, now: now) {
        case .failure(let failure): results += fail(meant, failure)
        case .success(let certificate) where certificate.node == core.nodeID: results += fail(meant, .isThisNode)
        case .success(let certificate):
            results += connect(meant, to: certificate, reply, core: &core, now: now, into: &out)
        }
        return results
    }

    private static func answers(_ reply: LookUpReply, _ search: Search) -> Bool {
        guard search.request.asked == reply.asked else { return false }
        switch search.request.goal {
        case .relays: return false
        // A newer answer may have other addresses.
        case .session: return true
        case .route: return search.isAsking
        }
    }

    private mutating func connect(
        _ meant: [Purpose], to certificate: Certificate, _ reply: LookUpReply, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) -> [Result] {
        let node = certificate.node
        for purpose in meant {
            searches[purpose]?.node = node
            searches[purpose]?.name = certificate.name
            searches[purpose]?.stage = .connecting
        }
        if core.endpoint.value.isConnected(node) { return connected(node, core.endpoint.value.certificate(of: node)) }
        if reply.addresses.isEmpty, reply.relays.isEmpty { return fail(meant, .nowhere(name: certificate.name)) }
        // Not by its own overlay addresses, which would lead the mesh through itself.
        let addresses = reply.addresses.filter { !certificate.overlayAddresses.contains($0.ip) }
        core.endpoint.value.connect(to: node, at: addresses, through: reply.relays, now: now, into: &out.mesh)
        return []
    }

    /// The owner's certificate, if the answer proves that it is the owner of what was asked for.
    private func owner(
        in reply: LookUpReply, _ membership: Membership, core: inout AgentCore, now: Instant
    ) -> Swift.Result<Certificate, Failure> {
        guard let node = reply.node, let bytes = reply.certificate else { return .failure(.unknown(reply.asked)) }
        let certificate: Certificate
        do throws(CertificateFault) {
            certificate = try core.verify(
                bytes, of: node, authorities: membership.credentials.authorities, fleet: membership.certificate.fleet,
                now: now)
        } catch { return .failure(.unproven) }
        let isRight =
            switch reply.asked {
            case .node(let asked): asked == node
            case .address(let address): certificate.overlayAddresses.contains(address)
            case .name(let name): certificate.name == name
            }
        guard isRight else {
            core.counters.add(.certificatesRefused)
            return .failure(.unproven)
        }
        return .success(certificate)
    }

    private mutating func fail(_ purposes: [Purpose], _ failure: Failure) -> [Result] {
        purposes.map { purpose in
            searches.removeValue(forKey: purpose)
            return Result(purpose: purpose, outcome: .failed(failure))
        }
    }

    // MARK: - Sessions

    /// There is a session with `node`, which shows this certificate.
    mutating func connected(_ node: NodeID, _ certificate: Certificate?) -> [Result] {
        guard !searches.isEmpty else { return [] }
        var results: [Result] = []
        // Any session that shows the address is a route, also one of another node than expected.
        for address in certificate?.overlayAddresses ?? []
        where searches.removeValue(forKey: .overlay(address)) != nil {
            results.append(Result(purpose: .overlay(address), outcome: .found(node, name: certificate?.name)))
        }
        for (purpose, search) in searches.elements where search.node == node {
            switch search.request.goal {
            case .session:
                results.append(Result(purpose: purpose, outcome: .found(node, name: certificate?.name)))
            // The node still shows a certificate from before it had the address.
            case .route:
                if certificate != nil { results.append(Result(purpose: purpose, outcome: .failed(.notShown))) }
            case .relays: break
            }
        }
        for result in results { searches.removeValue(forKey: result.purpose) }
        return results
    }

    /// No session with `node` could be made.
    mutating func failed(_ node: NodeID, _ failure: ConnectFailure) -> [Result] {
        let meant = searches.elements.filter { $0.value.node == node && $0.value.request.goal != .relays }
        guard !meant.isEmpty else { return [] }
        // The name that the directory states.
        let name = meant.lazy.compactMap(\.value.name).first ?? node.short
        return fail(meant.map(\.key), .noAnswer(name: name, failure))
    }
}
