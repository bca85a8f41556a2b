import Base
import Control
import Mesh
import Wire

/// Control messages of every kind, with honest fields and fields at the edge of what their types hold; and their bytes,
/// changed or not.
struct MessageMaker {
    var mutator: Mutator
    private var last: [UInt8] = []

    init(_ random: Random) { mutator = Mutator(random) }

    mutating func bytes(_ peer: HostilePeer, token: TokenText) -> [UInt8] {
        var bytes = message(peer, token: token).encoded()
        if mutator.random.chance(1, in: 3) {
            for _ in 0..<1 + mutator.random.index(below: 3) { _ = mutator.change(&bytes, with: last) }
        }
        last = bytes
        return bytes
    }

    private mutating func message(_ peer: HostilePeer, token: TokenText) -> ControlMessage {
        switch mutator.random.index(below: 14) {
        case 0:
            var proof = TokenText.proof(secret: token.secret, handshakeHash: peer.handshakeHash)
            if mutator.random.chance(1, in: 2) { proof[0] ^= 1 }
            return .enrol(
                Enrol(
                    tokenID: token.id, proof: proof, name: name(), labels: labels(), site: name(),
                    addresses: addresses(), clock: mutator.pick([nil, UnixTime(milliseconds: signed())])))
        case 1: return .register(Register(addresses: addresses()))
        case 2: return .lookUp(lookUp(peer))
        case 3, 4: return .report(report())
        case 5: return .checkReply(CheckReply(operation: mutator.edge(), problems: [SpecProblem("command", "is bad")]))
        case 6:
            return .logChunk(
                LogChunk(
                    operation: mutator.edge(), worker: name(), offset: signed(), bytes: mutator.bytes(20),
                    nextOffset: signed(), isFinal: false))
        case 7: return .goodbye(reason: name())
        case 8:
            let description = NodeDescription(
                name: mutator.pick([nil, name()]), site: name(), labels: labels())
            return mutator.pick([
                .renewCertificate(nil), .renewCertificate(description),
                .clock(ClockReading(UnixTime(milliseconds: signed()), expectsReply: true)),
                .clock(ClockReading(UnixTime(milliseconds: 7_258_118_400_000), expectsReply: false)),
                .certificateRefused(.badLabel, text: name()),
            ])
        case 9: return .enrolReply(.refused(.badName, text: name()))
        case 10: return .desired(desired())
        case 11: return .check(Check(operation: mutator.edge(), worker: worker(), spec: spec()))
        case 12:
            return .readLog(ReadLog(operation: mutator.edge(), worker: name(), offset: signed(), limit: signed()))
        case _:
            if mutator.random.chance(1, in: 2) {
                return .certificateRenewed(
                    CertificateRenewed(certificate: mutator.bytes(200), authorities: [mutator.bytes(32)]))
            }
            return .lookUpReply(
                LookUpReply(
                    lookUp(peer), node: mutator.pick([nil, peer.node, peer.target]), addresses: addresses(),
                    certificate: mutator.pick([nil, mutator.bytes(200), peer.certificate])))
        }
    }

    private mutating func lookUp(_ peer: HostilePeer) -> LookUp {
        let node = mutator.pick([peer.target, peer.node])
        switch mutator.random.index(below: 4) {
        case 0: return .node(node)
        case 1: return .address(OverlayAddress.v6(of: node, fleet: FleetID(1, 2)))
        case 2: return .address(.v4(0x6440_0000 + UInt32(mutator.random.next(below: 8))))
        case _: return .name(name())
        }
    }

    private mutating func signed() -> Int64 { Int64(bitPattern: mutator.edge()) }
    private mutating func maybe() -> Int64? { mutator.random.chance(1, in: 3) ? nil : signed() }
    private mutating func time() -> UnixTime { UnixTime(milliseconds: signed()) }
    private mutating func name() -> String { mutator.pick(["alpha", "w1", "w2", "w3", "", "a b", "\u{1F600}"]) }
    private mutating func worker() -> WorkerRef {
        WorkerRef(mutator.pick(["w1", "w2", "w3", "w4"]), generation: mutator.pick([1, 2, 3, mutator.edge()]))
    }
    private mutating func labels() -> [Label] {
        (0..<mutator.random.index(below: 4)).map { Label("l\($0)", "v") }
    }
    private mutating func addresses() -> [SocketAddress] {
        (0..<mutator.random.index(below: 5)).map {
            SocketAddress(.v4(0x0a00_0000 + UInt32($0)), UInt16(truncatingIfNeeded: mutator.edge()))
        }
    }

    private mutating func spec() -> WorkerSpec {
        var spec = WorkerSpec(command: ["/bin/sleep", "1"])
        spec.environment = [EnvironmentVariable("A", "b")]
        guard mutator.random.chance(1, in: 2) else { return spec }
        spec.restart.mode = mutator.pick(RestartPolicy.Mode.allCases)
        spec.restart.maxRestarts = signed()
        spec.restart.windowSeconds = signed()
        spec.restart.delaySeconds = signed()
        spec.restart.maxDelaySeconds = signed()
        spec.stop.graceSeconds = signed()
        spec.stop.signal = mutator.pick(["TERM", "HUP", "", "99"])
        spec.limits.memoryBytes = maybe()
        spec.limits.cpuMillicores = maybe()
        spec.log.maxFileBytes = signed()
        spec.log.maxFiles = signed()
        return spec
    }

    private mutating func desired() -> Desired {
        let revision = mutator.random.chance(1, in: 30) ? mutator.edge() : mutator.random.next(below: 1 << 20)
        let upserts = (0..<mutator.random.index(below: 4)).map { _ in
            DesiredWorker(worker(), spec: spec(), run: mutator.random.chance(2, in: 3), operation: "o")
        }
        return Desired(
            revision: revision, baseRevision: mutator.random.chance(1, in: 3) ? revision &- 1 : 0, upserts: upserts,
            removals: mutator.random.chance(1, in: 4) ? [name()] : [])
    }

    private mutating func report() -> Report {
        var report = Report(sequence: mutator.edge(), agentVersion: "0")
        report.containment = mutator.pick([nil, .cgroup, .subreaper])
        var host = HostStatus()
        host.hostname = name()
        host.processors = maybe()
        host.memoryTotalBytes = maybe()
        host.memoryAvailableBytes = maybe()
        host.uptimeSeconds = maybe()
        var accelerator = AcceleratorStatus(vendor: "nvidia", index: signed())
        accelerator.memoryTotalBytes = maybe()
        accelerator.memoryUsedBytes = maybe()
        accelerator.powerMilliwatts = maybe()
        accelerator.temperatureMilliCelsius = maybe()
        report.health = HealthReport(digest: mutator.edge(), host: host, accelerators: [accelerator])
        let workers = (0..<mutator.random.index(below: 4)).map { _ in
            var status = WorkerStatus(worker(), mutator.pick(WorkerState.allCases))
            status.pid = Int32(truncatingIfNeeded: signed())
            status.startedAt = time()
            status.restarts = signed()
            status.lastExit = WorkerExit(status: nil, signal: Int32(truncatingIfNeeded: signed()), at: time())
            status.logBytes = signed()
            return status
        }
        report.workers = WorkersReport(digest: mutator.edge(), workers)
        return report
    }
}
