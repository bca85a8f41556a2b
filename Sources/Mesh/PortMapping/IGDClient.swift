import Base

/// # Port mapping by UPnP
///
/// A search by multicast finds the gateway's description, and the description names its services. The best service is asked
/// for its external address and a mapping. The next service is asked if the first one has no address.
///
/// ```
///  idle ── begin ──→ searching ── LOCATION ──→ asking: describe → address → add ── granted ──→ mapped
///                        │ no answer               │ refused by all                          │ every ten minutes:
///                        └─────────────────────────┴──→ failed ←── mapping expired ──────────┘ address → add
/// ```
///
/// Only answers from the gateway's own address are accepted, and only that address is called: any host on the network may
/// answer a search. One call is in progress at a time. A UPnP gateway has no epoch, so it is asked again every ten minutes,
/// whatever the lease: the effect of a restart then lasts ten minutes at most.
struct IGDClient: Sendable {
    struct Grant: Hashable, Sendable {
        let external: SocketAddress
        /// 0: without an end, by the gateway's statement.
        private(set) var leaseSeconds: UInt32
        let expiresAt: Instant
        var renewAt: Instant
    }
    enum Phase: Hashable, Sendable {
        case idle, searching, asking, mapped
        case failed(String)
        /// The deletion of the mapping is requested.
        case ending
        case ended
    }
    private enum Step: Hashable, Sendable {
        case describe, address, add, delete
    }
    private struct Call: Hashable, Sendable {
        var id: UInt64
        let step: Step
        /// The fetcher answers in time, or reports a failure; this limit is for one that does not.
        let patienceEnds: Instant
    }

    private(set) var phase = Phase.idle
    private(set) var grant: Grant?
    private let place: PortMapper.Place
    private let port: UInt16
    private var call: Call?
    private var lastID: UInt64
    private var searches = 0
    private var nextSearchAt: Instant?
    private var location: GatewayURL?
    /// The services that are still to be tried, the current one first.
    private var services: [IGDService] = []
    private var address: IPAddress?
    /// The parameters of the requested mapping; those that a gateway refuses are changed, a few times.
    private var mappingRequest: (port: UInt16, leaseSeconds: UInt32, isAny: Bool)
    private var refusals = 0
    /// A mapping that is granted now is no longer needed.
    private var isAbandoned = false
    private var problem: String?
    private var random: Random

    static let leaseSeconds: UInt32 = 7200
    private static let searchLimit = 3
    private static let searchEvery = Interval.seconds(1)
    private static let refusalLimit = 6
    private static let callPatience = Interval.seconds(10)
    private static let renewEvery = Interval.minutes(10)
    private static let leastRenewal = Interval.seconds(10)

    /// `lastID`: calls get higher numbers, so that answers to a former client are not accepted.
    init(at place: PortMapper.Place, port: UInt16, lastID: UInt64, random: Random) {
        self.place = place
        self.port = port
        self.lastID = lastID
        self.random = random
        mappingRequest = (port, IGDClient.leaseSeconds, false)
    }

    var highestID: UInt64 { lastID }

    var deadline: Instant? {
        switch phase {
        case .idle, .failed, .ended: call?.patienceEnds
        case .searching: nextSearchAt
        case .asking, .ending: call?.patienceEnds
        case .mapped:
            [call?.patienceEnds, call == nil ? grant?.renewAt : nil, grant?.expiresAt].compactMap { $0 }.min()
        }
    }

    // MARK: - Desired state

    mutating func begin(now: Instant, into out: inout PortMapperOutbox) {
        phase = .searching
        (isAbandoned, problem, searches, refusals) = (false, nil, 0, 0)
        search(now: now, into: &out)
    }

    /// No mapping is desired any more. A mapping in progress is deleted when it is granted.
    mutating func abandon() {
        isAbandoned = true
        grant = nil
        phase = .idle
        if call?.step != .add { call = nil }
    }

    mutating func end(now: Instant, into out: inout PortMapperOutbox) {
        guard let external = grant?.external.port, let service = services.first else {
            abandon()
            phase = call == nil ? .ended : .ending
            return
        }
        phase = .ending
        delete(external, service, now: now, into: &out)
    }

    mutating func tick(now: Instant, into out: inout PortMapperOutbox) {
        if let call, call.patienceEnds <= now { answered(call.id, .failed("no answer"), now: now, into: &out) }
        switch phase {
        case .searching:
            guard let at = nextSearchAt, at <= now else { return }
            if searches < IGDClient.searchLimit { return search(now: now, into: &out) }
            fail("the gateway does not answer UPnP's search")
        case .mapped:
            guard let grant else { return }
            if grant.expiresAt <= now { return fail(problem ?? "the mapping has expired") }
            guard call == nil, grant.renewAt <= now, let service = services.first else { return }
            refusals = 0
            ask(.address, service, now: now, into: &out)
        case .idle, .asking, .failed, .ending, .ended: return
        }
    }

    private mutating func search(now: Instant, into out: inout PortMapperOutbox) {
        // The second address is for networks that lose multicasts (UPnP Device Architecture 1.1, section 1.3.2).
        for remote in [SSDP.group, SocketAddress(place.gateway, SSDP.group.port)] {
            for target in SSDP.targets { out.datagrams.append((SSDP.search(target, host: remote), remote)) }
        }
        searches += 1
        // A device that gets MX 1 answers within a second.
        nextSearchAt = now + IGDClient.searchEvery * (searches == IGDClient.searchLimit ? 2 : 1)
    }

    /// A datagram from the gateway.
    mutating func received(_ bytes: [UInt8], now: Instant, into out: inout PortMapperOutbox) {
        guard phase == .searching, let text = SSDP.location(in: bytes),
            let url = GatewayURL(text, at: place.gateway)
        else { return }
        phase = .asking
        location = url
        begin(.describe, SOAP.descriptionRequest(url), at: url.remote, now: now, into: &out)
    }

    // MARK: - Calls

    private mutating func begin(
        _ step: Step, _ bytes: [UInt8], at remote: SocketAddress, now: Instant, into out: inout PortMapperOutbox
    ) {
        lastID += 1
        call = Call(id: lastID, step: step, patienceEnds: now + IGDClient.callPatience)
        out.requests.append(PortMapperRequest(id: lastID, remote: remote, bytes: bytes))
    }

    private mutating func ask(
        _ step: Step, _ service: IGDService, now: Instant, into out: inout PortMapperOutbox
    ) {
        let bytes: [UInt8]
        switch step {
        case .describe: return
        case .address: bytes = SOAP.request("GetExternalIPAddress", of: service, [])
        case .add: bytes = addRequest(service)
        case .delete: return
        }
        begin(step, bytes, at: service.control.remote, now: now, into: &out)
    }

    private func addRequest(_ service: IGDService) -> [UInt8] {
        SOAP.request(
            mappingRequest.isAny ? "AddAnyPortMapping" : "AddPortMapping", of: service,
            [
                ("NewRemoteHost", ""), ("NewExternalPort", "\(mappingRequest.port)"), ("NewProtocol", "UDP"),
                ("NewInternalPort", "\(port)"), ("NewInternalClient", "\(place.own)"), ("NewEnabled", "1"),
                ("NewPortMappingDescription", "asterism"), ("NewLeaseDuration", "\(mappingRequest.leaseSeconds)"),
            ])
    }

    private mutating func delete(
        _ external: UInt16, _ service: IGDService, now: Instant, into out: inout PortMapperOutbox
    ) {
        let bytes = SOAP.request(
            "DeletePortMapping", of: service,
            [("NewRemoteHost", ""), ("NewExternalPort", "\(external)"), ("NewProtocol", "UDP")])
        begin(.delete, bytes, at: service.control.remote, now: now, into: &out)
    }

    mutating func answered(
        _ id: UInt64, _ result: PortMapperAnswer, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard let call, call.id == id else { return }
        self.call = nil
        switch call.step {
        case .describe: described(result, now: now, into: &out)
        case .address: addressed(IGDClient.read(result), now: now, into: &out)
        case .add: added(IGDClient.read(result), now: now, into: &out)
        case .delete: if phase == .ending { phase = .ended }
        }
    }

    /// The result of a call: values, a refusal, or no valid answer.
    private enum Outcome {
        case values([SOAP.Answer.Value])
        case refused(SOAP.Fault)
        case nothing(String)
    }

    private static func read(_ result: PortMapperAnswer) -> Outcome {
        guard case .bytes(let bytes) = result else {
            guard case .failed(let why) = result else { return .nothing("no answer") }
            return .nothing(why)
        }
        guard let http = try? HTTPAnswer(decoding: bytes) else { return .nothing("an answer that cannot be read") }
        guard let answer = try? SOAP.Answer(decoding: http.body) else { return .nothing("HTTP status \(http.status)") }
        switch answer {
        case .values(let values): return http.status == 200 ? .values(values) : .nothing("HTTP status \(http.status)")
        case .fault(let fault): return .refused(fault)
        }
    }

    private mutating func described(
        _ result: PortMapperAnswer, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard phase == .asking, let location else { return }
        guard case .bytes(let bytes) = result, let http = try? HTTPAnswer(decoding: bytes), http.status == 200,
            let found = try? IGDService.all(in: http.body, at: location)
        else { return fail("the gateway's description cannot be had") }
        services = found
        tryService(now: now, into: &out)
    }

    private mutating func tryService(now: Instant, into out: inout PortMapperOutbox) {
        guard let service = services.first else { return fail(problem ?? "the gateway's UPnP makes no mappings") }
        mappingRequest = (port, IGDClient.leaseSeconds, service.kind == .ip2)
        refusals = 0
        ask(.address, service, now: now, into: &out)
    }

    private mutating func addressed(_ outcome: Outcome, now: Instant, into out: inout PortMapperOutbox) {
        guard phase == .asking || phase == .mapped, let service = services.first else { return }
        switch outcome {
        case .values(let values):
            let text = values.first { $0.name == "NewExternalIPAddress" }?.text ?? ""
            guard let found = IPAddress(text), found.isIPv4, !found.isUnspecified else {
                return wasRefused("the gateway has no outer address", now: now, into: &out)
            }
            address = found
            ask(.add, service, now: now, into: &out)
        case .refused(let fault): wasRefused(fault.meaning, now: now, into: &out)
        case .nothing(let why): wasRefused(why, now: now, into: &out)
        }
    }

    private mutating func added(_ outcome: Outcome, now: Instant, into out: inout PortMapperOutbox) {
        guard let service = services.first else { return }
        // AddAnyPortMapping returns the port that it chose.
        if mappingRequest.isAny, case .values(let values) = outcome {
            guard let text = values.first(where: { $0.name == "NewReservedPort" })?.text, let port = UInt16(text),
                port != 0
            else { return wasRefused("the gateway names no port", now: now, into: &out) }
            mappingRequest.port = port
        }
        guard !isAbandoned else {
            if case .values = outcome { return delete(mappingRequest.port, service, now: now, into: &out) }
            if phase == .ending { phase = .ended }
            return
        }
        guard phase == .asking || phase == .mapped, let address else { return }
        switch outcome {
        case .values:
            // From now on it is this port.
            mappingRequest.isAny = false
            let life =
                mappingRequest.leaseSeconds == 0
                ? IGDClient.renewEvery * 6 : Interval.seconds(Int64(mappingRequest.leaseSeconds))
            grant = Grant(
                external: SocketAddress(address, mappingRequest.port), leaseSeconds: mappingRequest.leaseSeconds,
                expiresAt: now + life,
                renewAt: now + min(life / 2, IGDClient.renewEvery))
            phase = .mapped
            problem = nil
        case .refused(let fault):
            guard refusals < IGDClient.refusalLimit, changeRequest(after: fault) else {
                return wasRefused(fault.meaning, now: now, into: &out)
            }
            refusals += 1
            ask(.add, service, now: now, into: &out)
        case .nothing(let why): wasRefused(why, now: now, into: &out)
        }
    }

    /// Changes the request to one that the gateway may grant; false where there is no alternative.
    private mutating func changeRequest(after fault: SOAP.Fault) -> Bool {
        switch fault.code {
        case 725 where mappingRequest.leaseSeconds != 0: mappingRequest.leaseSeconds = 0
        // Some gateways know the service and not all of its actions.
        case 401, 402, 501,
            602 where mappingRequest.isAny:
            mappingRequest.isAny = false
        case 724 where mappingRequest.port != port: mappingRequest.port = port
        // Any port but those that services have.
        case 718, 729: mappingRequest.port = UInt16(random.next(in: 1024...65_535))
        default: return false
        }
        return true
    }

    private mutating func wasRefused(_ why: String, now: Instant, into out: inout PortMapperOutbox) {
        guard !isAbandoned else {
            if phase == .ending { phase = .ended }
            return
        }
        problem = why
        if phase == .mapped, var present = grant {
            present.renewAt = now + max((present.expiresAt - now) / 2, IGDClient.leastRenewal)
            grant = present
            return
        }
        if !services.isEmpty { services.removeFirst() }
        tryService(now: now, into: &out)
    }

    private mutating func fail(_ why: String) {
        phase = .failed("UPnP: \(why)")
        grant = nil
        call = nil
    }
}
