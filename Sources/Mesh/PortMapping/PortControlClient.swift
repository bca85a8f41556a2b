import Base

/// # Port mapping by PCP or NAT-PMP
///
/// Both use one port of the gateway, and the first answer shows which one it supports. So both are asked at once: PCP for the
/// mapping, NAT-PMP for the external address only, which changes nothing at the gateway. A mapping is requested by NAT-PMP
/// when PCP is refused, or when PCP is not answered and NAT-PMP is; never by both, since gateways that support both have one
/// table.
///
/// ```
///  idle ── begin ──→ asking ── granted ──→ mapped ── half its life, or the gateway lost it ──→ mapped, asking
///                      │                     │ expired
///                      └── refused, silent ──┴──→ failed
/// ```
///
/// **Repeating.** RFC 6887 (8.1.1) waits 3 s before the first repetition, which is for distant servers. This gateway is one
/// hop away and people wait, so the wait begins with the 250 ms of RFC 6886 (3.1), doubles, and varies by a tenth as in RFC
/// 6887. After six datagrams and 16 s the gateway counts as silent; RFC 6886 would send three more in two minutes, and RFC
///       6887 would never stop, but `PortMapper` begins again later.
struct PortControlClient: Sendable {
    /// A mapping that the gateway has granted.
    struct Grant: Hashable, Sendable {
        let isPCP: Bool
        let external: SocketAddress
        let grantedAt: Instant
        let expiresAt: Instant
        var renewAt: Instant
    }
    enum Phase: Hashable, Sendable {
        case idle, asking, mapped
        case failed(String)
        /// The deletion of the mapping is requested.
        case ending
        case ended
    }
    private enum Question: Hashable, Sendable {
        case pcpMap, pmpAddress, pmpMap
    }

    private(set) var phase = Phase.idle
    private(set) var grant: Grant?
    private let place: PortMapper.Place
    private let port: UInt16
    private let nonce: [UInt8]
    /// The requests without an answer, and when they are repeated.
    private var questions: [Question] = []
    private var sends = 0
    private var nextAt: Instant?
    /// The external address that NAT-PMP reported.
    private var pmpExternal: IPAddress?
    private var pmpPort: (external: UInt16, lifetimeSeconds: UInt32)?
    private var pcpEpoch = GatewayEpoch()
    private var pmpEpoch = GatewayEpoch()
    private var problem: String?
    /// Why PCP was refused, where it is supported.
    private var pcpRefusal: String?

    static let lifetimeSeconds: UInt32 = 7200
    private static let firstWait = Interval.milliseconds(250)
    private static let sendLimit = 6
    /// RFC 6887, section 11.2.1: the minimum between renewals.
    private static let leastRenewal = Interval.seconds(4)
    /// RFC 6887, section 15: longer lifetimes are treated as this one.
    private static let longestLife = Interval.seconds(86_400)

    init(at place: PortMapper.Place, port: UInt16, nonce: [UInt8]) {
        self.place = place
        self.port = port
        self.nonce = nonce
    }

    var deadline: Instant? {
        switch phase {
        case .idle, .failed, .ended: nil
        case .asking, .ending: nextAt
        case .mapped: [questions.isEmpty ? grant?.renewAt : nextAt, grant?.expiresAt].compactMap { $0 }.min()
        }
    }

    // MARK: - Desired state

    mutating func begin(_ random: inout Random, now: Instant, into out: inout PortMapperOutbox) {
        phase = .asking
        grant = nil
        (pmpExternal, pmpPort, problem, pcpRefusal) = (nil, nil, nil, nil)
        ask([.pcpMap, .pmpAddress], &random, now: now, into: &out)
    }

    /// Requests the deletion of a mapping that was granted, or may have been.
    mutating func end(_ random: inout Random, now: Instant, into out: inout PortMapperOutbox) {
        let isPCP = grant?.isPCP ?? !questions.contains(.pmpMap)
        guard grant != nil || !questions.isEmpty else {
            phase = .ended
            return
        }
        phase = .ending
        ask([isPCP ? .pcpMap : .pmpMap], &random, now: now, into: &out)
    }

    /// No mapping is desired any more.
    mutating func abandon() {
        phase = .idle
        grant = nil
        questions = []
        nextAt = nil
    }

    mutating func tick(_ random: inout Random, now: Instant, into out: inout PortMapperOutbox) {
        if phase == .mapped, let grant {
            if grant.expiresAt <= now { return fail(problem ?? "the mapping has expired") }
            if questions.isEmpty, grant.renewAt <= now { return renew(grant, &random, now: now, into: &out) }
        }
        guard let at = nextAt, at <= now else { return }
        guard sends < PortControlClient.sendLimit else { return wasSilent(now: now) }
        if questions.contains(.pcpMap), phase == .asking, pmpExternal != nil {
            // It answers one protocol and not the other, so it supports only the one.
            return askByPMP(&random, now: now, into: &out)
        }
        send(&random, now: now, into: &out)
    }

    private mutating func renew(
        _ grant: Grant, _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        (pmpExternal, pmpPort) = (nil, nil)
        ask(grant.isPCP ? [.pcpMap] : [.pmpAddress, .pmpMap], &random, now: now, into: &out)
    }

    private mutating func askByPMP(_ random: inout Random, now: Instant, into out: inout PortMapperOutbox) {
        ask(pmpExternal == nil ? [.pmpAddress, .pmpMap] : [.pmpMap], &random, now: now, into: &out)
    }

    private mutating func ask(
        _ questions: [Question], _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        self.questions = questions
        sends = 0
        send(&random, now: now, into: &out)
    }

    private mutating func send(_ random: inout Random, now: Instant, into out: inout PortMapperOutbox) {
        for question in questions { out.datagrams.append((bytes(of: question), place.controlAddress)) }
        nextAt = now + random.jittered(PortControlClient.firstWait * Int64(1 << sends), percent: 10)
        sends += 1
    }

    private func bytes(of question: Question) -> [UInt8] {
        let isEnd = phase == .ending
        let lifetime = isEnd ? 0 : PortControlClient.lifetimeSeconds
        let suggestion = isEnd ? SocketAddress(.any4, 0) : grant?.external ?? SocketAddress(.any4, port)
        switch question {
        case .pcpMap:
            return PCP.MapRequest(
                nonce: nonce, client: place.own, internalPort: port, suggested: suggestion, lifetimeSeconds: lifetime
            ).encoded
        case .pmpAddress: return NATPMP.externalAddressRequest
        case .pmpMap:
            return NATPMP.mapRequest(internalPort: port, suggestedPort: suggestion.port, lifetimeSeconds: lifetime)
        }
    }

    // MARK: - Answers

    /// Bytes from the gateway's port. Those that cannot be read are ignored: any host may send them.
    mutating func received(
        _ bytes: [UInt8], _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard phase != .idle, phase != .ended, let first = bytes.first else { return }
        let isRestarted: Bool
        do throws(DecodeError) {
            if first == NATPMP.version {
                let answer = try NATPMP.Response(decoding: bytes)
                isRestarted = pmpEpoch.hasRestarted(answer.epochSeconds, isPCP: false, now: now)
                take(answer, &random, now: now, into: &out)
            } else {
                let answer = try PCP.Response(decoding: bytes)
                isRestarted =
                    answer.version == PCP.version
                    && pcpEpoch.hasRestarted(answer.epochSeconds, isPCP: true, now: now)
                take(answer, &random, now: now, into: &out)
            }
        } catch { return }
        // All of the gateway's clients detect it at once, so the renewals are spread (RFC 6887, section 8.5).
        if isRestarted { hasten(to: now + random.interval(in: .milliseconds(100)...(.seconds(2)))) }
    }

    /// The mapping may be lost or changed: renews it at that time at the latest, but never repeatedly.
    private mutating func hasten(to time: Instant) {
        guard phase == .mapped, questions.isEmpty, var present = grant else { return }
        let earliest = present.grantedAt + PortControlClient.leastRenewal
        present.renewAt = min(present.renewAt, max(time, earliest))
        grant = present
    }

    private mutating func take(
        _ answer: PCP.Response, _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard answer.opcode == PCP.Opcode.map else {
            // The answer of a PCP-only gateway to NAT-PMP; or an announcement.
            if answer.result == PCP.ResultCode.unsupportedVersion.rawValue { settle(.pmpAddress) }
            return
        }
        guard questions.contains(.pcpMap) else {
            // A PCP-only gateway was asked by NAT-PMP after its refusal, and that refusal is the error to report.
            guard answer.result == PCP.ResultCode.unsupportedVersion.rawValue else { return }
            return refused(.pmpMap, "the gateway does not know NAT-PMP", &random, now: now, into: &out)
        }
        if let map = answer.map {
            guard map.nonce == nonce, map.internalPort == port, map.transport == PCP.udp else { return }
            if phase == .ending { return finish() }
            if answer.result == PCP.ResultCode.success.rawValue {
                guard map.external.port != 0, answer.lifetimeSeconds > 0 else { return }
                return granted(
                    map.external, isPCP: true, lifetimeSeconds: answer.lifetimeSeconds, &random, now: now)
            }
        }
        if answer.result != PCP.ResultCode.unsupportedVersion.rawValue { pcpRefusal = "PCP: \(answer.meaning)" }
        refused(.pcpMap, "PCP: \(answer.meaning)", &random, now: now, into: &out)
    }

    private mutating func take(
        _ answer: NATPMP.Response, _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        let isMap = answer.opcode == NATPMP.Opcode.mapUDP
        guard answer.result == NATPMP.ResultCode.success.rawValue else {
            if isMap, questions.contains(.pcpMap) {
                // A NAT-PMP-only gateway reads PCP's opcode, and does not know the version (RFC 6886, section 3.5).
                return refused(.pcpMap, "PCP: \(answer.meaning)", &random, now: now, into: &out)
            }
            let question = isMap ? Question.pmpMap : .pmpAddress
            guard questions.contains(question) else { return }
            if phase == .ending { return finish() }
            return refused(question, "NAT-PMP: \(answer.meaning)", &random, now: now, into: &out)
        }
        switch answer.body {
        case .externalAddress(let address):
            // Also announced without a request, when it changes (RFC 6886, section 3.2.1).
            if questions.contains(.pmpAddress) {
                pmpExternal = address
                settle(.pmpAddress)
            } else if let grant, !grant.isPCP, grant.external.ip != address {
                hasten(to: now)
            }
        case .map(port, let external, let lifetime) where questions.contains(.pmpMap):
            if phase == .ending { return finish() }
            guard external != 0, lifetime > 0 else { return }
            pmpPort = (external, lifetime)
            settle(.pmpMap)
        case .map, .none: return
        }
        if let pmpExternal, let pmpPort {
            granted(
                SocketAddress(pmpExternal, pmpPort.external), isPCP: false, lifetimeSeconds: pmpPort.lifetimeSeconds,
                &random, now: now)
        }
    }

    private mutating func settle(_ question: Question) { questions.removeAll { $0 == question } }

    private mutating func granted(
        _ external: SocketAddress, isPCP: Bool, lifetimeSeconds: UInt32, _ random: inout Random, now: Instant
    ) {
        let life = min(.seconds(Int64(lifetimeSeconds)), PortControlClient.longestLife)
        // RFC 6887, section 11.2.1: after a half to five eighths of it.
        let renewal = max(random.interval(in: life / 2...(life / 8 * 5)), PortControlClient.leastRenewal)
        grant = Grant(
            isPCP: isPCP, external: external, grantedAt: now, expiresAt: now + life, renewAt: now + renewal)
        phase = .mapped
        (pmpExternal, pmpPort) = (nil, nil)
        questions = []
        nextAt = nil
        problem = nil
    }

    private mutating func refused(
        _ question: Question, _ why: String, _ random: inout Random, now: Instant, into out: inout PortMapperOutbox
    ) {
        guard questions.contains(question) else { return }
        problem = why
        settle(question)
        switch (phase, question) {
        case (.asking, .pcpMap): askByPMP(&random, now: now, into: &out)
        // The mapping is useless without the address, and the address without the mapping.
        case (.asking, .pmpMap): fail([pcpRefusal, why].compactMap { $0 }.joined(separator: "; "))
        case (.asking, .pmpAddress): if questions.isEmpty { fail(why) }
        case (.mapped, _): postpone(now: now)
        case (.idle, _), (.failed, _), (.ending, _), (.ended, _): break
        }
    }

    private mutating func wasSilent(now: Instant) {
        switch phase {
        case .asking: fail(pcpRefusal ?? problem ?? "the gateway answers neither PCP nor NAT-PMP")
        case .mapped:
            problem = "the gateway does not answer"
            postpone(now: now)
        case .ending: finish()
        case .idle, .failed, .ended: break
        }
    }

    /// Tries again after half of the mapping's remaining life.
    private mutating func postpone(now: Instant) {
        questions = []
        nextAt = nil
        guard var present = grant else { return }
        present.renewAt = now + max((present.expiresAt - now) / 2, PortControlClient.leastRenewal)
        grant = present
    }

    private mutating func fail(_ why: String) {
        phase = .failed(why)
        grant = nil
        questions = []
        nextAt = nil
    }

    private mutating func finish() {
        phase = .ended
        grant = nil
        questions = []
        nextAt = nil
    }
}
