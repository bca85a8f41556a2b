import Base
import Control
import Mesh
import Noise
import Testing
import Wire

@Suite struct AgentTests {
    private let web = WorkerRef("web", generation: 1)

    private func member(lifeSeconds: Int64 = 86_400) -> TestFleet {
        let fleet = TestFleet()
        fleet.membership = MembershipRecord(fleet.admission(lifeSeconds: lifeSeconds))
        fleet.startAgent()
        return fleet
    }

    private func desired(_ ref: WorkerRef, run: Bool = true, restart: RestartPolicy.Mode = .never) -> DesiredWorker {
        var spec = WorkerSpec(command: ["/bin/true"])
        spec.restart.mode = restart
        return DesiredWorker(ref, spec: spec, run: run, operation: "op")
    }

    // MARK: - Membership

    @Test func `a token makes a node a member, and that is on the disk before it is reported`() throws {
        let fleet = TestFleet()
        fleet.startAgent()
        fleet.onMessage = { message in
            guard case .enrol(let enrol) = message else { return }
            #expect(enrol.name == "alpha")
            #expect(enrol.proof == TokenText.proof(secret: fleet.secret, handshakeHash: fleet.handshakeHash))
            #expect(fleet.shownCertificate == nil)
            fleet.send(.enrolReply(.admitted(fleet.admission())))
        }
        fleet.ask(1, .join(JoinFleet(token: fleet.token.text)))
        fleet.run(.seconds(2))
        guard case .success(.joined(let view))? = fleet.replies(to: 1).first else {
            Issue.record("no answer: \(fleet.replies(to: 1))")
            return
        }
        #expect(view.phase == .member)
        #expect(view.fleet == fleet.fleet.hex)
        #expect(fleet.membership?.admission == fleet.admission())
        let persisted = try #require(
            fleet.actions.firstIndex { if case .persistMembership = $0 { true } else { false } })
        let replied = try #require(
            fleet.actions.firstIndex { if case .reply(RequestID(1), _) = $0 { true } else { false } })
        #expect(persisted < replied)
        #expect(fleet.shownCertificate?.name == "alpha")
        #expect(fleet.heartbeats.count >= 1)
        #expect(fleet.actions.contains(.ready))
    }

    @Test(arguments: EnrolRefusal.allCases)
    func `a refusal is reported with its reason, and the node stays outside`(reason: EnrolRefusal) {
        let fleet = TestFleet()
        fleet.startAgent()
        fleet.onMessage = { message in
            if case .enrol = message { fleet.send(.enrolReply(.refused(reason, text: "because"))) }
        }
        fleet.ask(1, .join(JoinFleet(token: fleet.token.text)))
        fleet.run(.seconds(5))
        guard case .failure(let error)? = fleet.replies(to: 1).first else {
            Issue.record("no refusal")
            return
        }
        #expect(fleet.replies(to: 1).count == 1)
        #expect(error.code == .refused)
        #expect(error.message.hasPrefix("\(reason.rawValue): because"))
        #expect(error.message.contains("--name") == (reason == .nameTaken || reason == .badName))
        #expect(fleet.membership == nil)
        #expect(fleet.status?.phase == .unenrolled)
        #expect(fleet.counter("enrolmentsRefused") == 1)
        #expect(fleet.heartbeats.isEmpty)
    }

    @Test func `a certificate that the token's authority did not sign is refused`() {
        let fleet = TestFleet()
        fleet.startAgent()
        fleet.onMessage = { message in
            if case .enrol = message { fleet.send(.enrolReply(.admitted(fleet.admission(signedBy: true)))) }
        }
        fleet.ask(1, .join(JoinFleet(token: fleet.token.text)))
        fleet.run(.seconds(5))
        guard case .failure(let error)? = fleet.replies(to: 1).first else {
            Issue.record("no refusal")
            return
        }
        #expect(error.code == .refused)
        #expect(fleet.membership == nil)
        #expect(fleet.counter("certificatesRefused") == 1)
    }

    @Test func `a join of a fleet that does not answer fails after half a minute`() {
        let fleet = TestFleet()
        fleet.isCut = true
        fleet.startAgent()
        fleet.ask(1, .join(JoinFleet(token: fleet.token.text)))
        fleet.run(.seconds(29))
        #expect(fleet.replies(to: 1).isEmpty)
        fleet.run(.seconds(2))
        guard case .failure(let error)? = fleet.replies(to: 1).first else {
            Issue.record("no answer")
            return
        }
        #expect(error.code == .timeout)
    }

    @Test func `a token from a file is tried until the controller is there`() {
        let fleet = TestFleet()
        fleet.isCut = true
        fleet.startAgent()
        fleet.onMessage = { message in
            if case .enrol = message { fleet.send(.enrolReply(.admitted(fleet.admission()))) }
        }
        fleet.notify(.join(token: fleet.token.text))
        fleet.run(.seconds(100))
        #expect(fleet.membership == nil)
        fleet.isCut = false
        fleet.run(.seconds(20))
        #expect(fleet.membership != nil)
        #expect(fleet.actions.contains(.ready))
    }

    @Test func `a damaged token and a second fleet are refused`() {
        let fleet = member()
        fleet.ask(1, .join(JoinFleet(token: "ast1-nonsense")))
        var other = fleet.token
        other.fleet = FleetID(8, 8)
        fleet.ask(2, .join(JoinFleet(token: other.text)))
        guard case .failure(let first)? = fleet.replies(to: 1).first,
            case .failure(let second)? = fleet.replies(to: 2).first
        else {
            Issue.record("no refusals")
            return
        }
        #expect(first.code == .invalid && first.field == "token")
        #expect(second.code == .conflict)
    }

    @Test func `a certificate is renewed when two thirds of its life are over`() throws {
        let fleet = member(lifeSeconds: 300)
        fleet.run(.seconds(195))
        #expect(!fleet.messages.contains(.renewCertificate(nil)))
        let next = fleet.admission(lifeSeconds: 900)
        fleet.onMessage = { message in
            guard case .renewCertificate(nil) = message else { return }
            fleet.send(
                .certificateRenewed(
                    CertificateRenewed(certificate: next.certificate, authorities: next.authorities)))
        }
        fleet.run(.seconds(10))
        #expect(fleet.messages.count { $0 == .renewCertificate(nil) } == 1)
        #expect(fleet.membership?.admission.certificate == next.certificate)
    }

    // MARK: - Heartbeats and reports

    @Test func `a member is ready within two round trips, and beats once a second in at most 64 bytes`() {
        let fleet = member()
        fleet.run(.milliseconds(50))
        #expect(fleet.actions.contains(.ready))
        fleet.run(.seconds(10))
        #expect((10...12).contains(fleet.heartbeats.count))
        #expect(fleet.heartbeatSizes.allSatisfy { $0 <= Limits.heartbeatBytes })
        #expect(fleet.heartbeats.map(\.sequence) == (1...UInt32(fleet.heartbeats.count)).map { $0 })
    }

    @Test func `an idle member that is known sends heartbeats and nothing else`() {
        let fleet = member()
        fleet.run(.seconds(3))
        let before = fleet.messages.count
        fleet.run(.seconds(30))
        #expect(fleet.messages.count == before)
    }

    @Test func `what the controller does not know is reported until it does`() {
        let fleet = member()
        fleet.remembersReports = false
        fleet.knownWorkers = 1
        fleet.run(.seconds(10))
        // Two answers must show the loss each time, so not every second.
        #expect((2...8).contains(fleet.reports.count))
        fleet.remembersReports = true
        fleet.run(.seconds(5))
        let count = fleet.reports.count
        #expect(fleet.knownWorkers == fleet.heartbeats.last?.workers)
        fleet.run(.seconds(10))
        #expect(fleet.reports.count == count)
    }

    @Test func `heartbeats carry loads, and details are reported at once only where they matter`() {
        let fleet = member()
        var host = HostStatus()
        host.processorUsePermille = 500
        host.memoryTotalBytes = 1000
        host.memoryAvailableBytes = 250
        fleet.notify(.host(host))
        fleet.run(.seconds(3))
        #expect(fleet.heartbeats.last?.processorLoad == 50)
        #expect(fleet.heartbeats.last?.memoryLoad == 75)
        #expect(fleet.heartbeats.last?.acceleratorLoad == Heartbeat.unknownLoad)
        #expect(fleet.heartbeats.last?.worst == .healthy)
        let before = fleet.reports.count
        for second in 0..<5 {
            host.processorUsePermille = Int64(100 + second)
            fleet.notify(.host(host))
            fleet.run(.seconds(1))
        }
        #expect(fleet.reports.count == before)
        var card = AcceleratorStatus(vendor: "nvidia", index: 0)
        card.verdict = .degraded
        fleet.notify(.accelerators([card]))
        fleet.run(.seconds(2))
        #expect(fleet.reports.count == before + 1)
        #expect(fleet.reports.last?.health?.accelerators == [card])
        #expect(fleet.heartbeats.last?.worst == .degraded)
        fleet.run(.seconds(12))
        #expect(fleet.reports.count <= before + 2)
    }

    // MARK: - Work

    @Test func `desired work is on the disk before it is launched, and its start is reported at once`() throws {
        let fleet = member()
        fleet.run(.milliseconds(500))
        fleet.revision = 1
        fleet.send(.desired(Desired(revision: 1, upserts: [desired(web)])))
        fleet.run(.milliseconds(20))
        let launch = try #require(
            fleet.actions.firstIndex { if case .worker(.launch) = $0 { true } else { false } })
        let persist = try #require(
            fleet.actions.firstIndex { if case .worker(.persist) = $0 { true } else { false } })
        #expect(fleet.record.revision == 1)
        #expect(fleet.record.workers.map(\.state) == [.starting])
        #expect(persist < launch)
        fleet.notify(.launched(web, pid: 7, startedAt: fleet.currentWall, containment: .subreaper))
        fleet.run(.milliseconds(30))
        let status = try #require(fleet.reports.last?.workers?.workers.first)
        #expect(status.state == .running)
        #expect(status.pid == 7)
        fleet.run(.seconds(1))
        #expect(fleet.heartbeats.last?.revision == 1)
        #expect(fleet.heartbeats.last?.workers == fleet.knownWorkers)
    }

    @Test func `a thousand starts in an instant make few reports`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        let refs = (0..<1000).map { WorkerRef("w\($0)", generation: 1) }
        fleet.send(.desired(Desired(revision: 1, upserts: refs.map { desired($0) })))
        fleet.run(.milliseconds(200))
        let before = fleet.reports.count
        for ref in refs { fleet.notify(.launched(ref, pid: 7, startedAt: fleet.wall, containment: .subreaper)) }
        fleet.run(.seconds(3))
        #expect(fleet.reports.count - before <= 5)
        #expect(fleet.reports.last?.workers?.workers.count { $0.state == .running } == 1000)
    }

    @Test func `cut off from its controller a node goes on restarting workers, and reports it later`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        fleet.send(.desired(Desired(revision: 1, upserts: [desired(web, restart: .always)])))
        fleet.run(.milliseconds(100))
        fleet.notify(.launched(web, pid: 7, startedAt: fleet.currentWall, containment: .subreaper))
        fleet.isCut = true
        fleet.run(.seconds(60))
        fleet.notify(.exited(web, WorkerExit(status: 3, signal: nil, at: fleet.currentWall), logBytes: 9))
        fleet.run(.seconds(5))
        #expect(fleet.actions.count { if case .worker(.launch) = $0 { true } else { false } } == 2)
        fleet.notify(.launched(web, pid: 8, startedAt: fleet.currentWall, containment: .subreaper))
        fleet.isCut = false
        fleet.run(.seconds(20))
        let status = fleet.reports.last?.workers?.workers.first
        #expect(status?.pid == 8)
        #expect(status?.restarts == 1)
        #expect(status?.lastExit?.status == 3)
        #expect(status?.logBytes == 9)
        #expect(fleet.heartbeats.last?.workers == fleet.knownWorkers)
    }

    @Test func `a controller that was killed and restarted is found again and knows everything`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        fleet.send(.desired(Desired(revision: 1, upserts: [desired(web)])))
        fleet.run(.milliseconds(100))
        fleet.notify(.launched(web, pid: 7, startedAt: fleet.currentWall, containment: .subreaper))
        fleet.run(.seconds(2))
        fleet.startController()
        fleet.knownWorkers = 0
        fleet.knownDetails = 0
        let heartbeats = fleet.heartbeats.count
        fleet.run(.seconds(10))
        #expect(fleet.heartbeats.count > heartbeats)
        #expect(fleet.knownWorkers == fleet.heartbeats.last?.workers)
        #expect(fleet.reports.last?.workers?.workers.first?.pid == 7)
    }

    @Test func `an agent that was killed finds its workers, keeps its revision and its identity`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        fleet.send(.desired(Desired(revision: 4, upserts: [desired(web)])))
        fleet.run(.milliseconds(100))
        fleet.notify(.launched(web, pid: 7, startedAt: fleet.wall, containment: .subreaper))
        fleet.run(.seconds(2))
        let incarnation = fleet.heartbeats.last?.incarnation
        fleet.killAgent()
        fleet.run(.seconds(1))
        fleet.actions = []
        fleet.startAgent(found: [
            AdoptedWorker(web, .running(pid: 7, startedAt: fleet.wall, containment: .subreaper))
        ])
        fleet.run(.seconds(5))
        #expect(!fleet.actions.contains { if case .worker(.launch) = $0 { true } else { false } })
        #expect(fleet.heartbeats.last?.revision == 4)
        #expect(fleet.heartbeats.last?.incarnation != incarnation)
        #expect(fleet.reports.last?.workers?.workers.map(\.pid) == [7])
    }

    @Test func `over a path that loses a tenth of the datagrams everything is reported in the end`() {
        let fleet = member()
        fleet.lossPercent = 10
        fleet.run(.seconds(5))
        fleet.send(.desired(Desired(revision: 1, upserts: [desired(web)])))
        fleet.run(.seconds(10))
        fleet.notify(.launched(web, pid: 7, startedAt: fleet.currentWall, containment: .subreaper))
        fleet.run(.seconds(20))
        #expect(fleet.heartbeats.last?.revision == 1)
        #expect(fleet.knownWorkers == fleet.heartbeats.last?.workers)
        #expect(fleet.reports.last?.workers?.workers.first?.state == .running)
    }

    // MARK: - Questions

    @Test func `a check is asked of the shell, and its answer goes back under its number`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        let spec = desired(web).spec
        fleet.send(.check(Check(operation: 77, worker: web, spec: spec)))
        fleet.run(.milliseconds(20))
        #expect(fleet.actions.contains(.check(operation: 77, web, spec)))
        let problem = SpecProblem("user", "there is no user 'x'")
        fleet.notify(.checked(operation: 77, problems: [problem]))
        fleet.run(.milliseconds(20))
        #expect(fleet.messages.last == .checkReply(CheckReply(operation: 77, problems: [problem])))
    }

    @Test func `a log is read from the newest generation, and is final when its worker has ended`() {
        let fleet = member()
        fleet.run(.milliseconds(500))
        fleet.send(.readLog(ReadLog(operation: 1, worker: "web", offset: 0, limit: 100)))
        fleet.run(.milliseconds(20))
        guard case .logChunk(let none)? = fleet.messages.last else {
            Issue.record("no answer")
            return
        }
        #expect(none.problem == "there is no worker 'web' on this node")
        fleet.send(.desired(Desired(revision: 1, upserts: [desired(web)])))
        fleet.send(.readLog(ReadLog(operation: 2, worker: "web", offset: -10, limit: 1 << 40)))
        fleet.run(.milliseconds(50))
        #expect(
            fleet.actions.contains(.readLog(operation: 2, web, offset: -10, limit: Limits.logChunkBytes)))
        let read = LogRead(operation: 2, worker: web, offset: 5, bytes: [1, 2], nextOffset: 7, isAtEnd: true)
        fleet.notify(.logRead(read))
        fleet.run(.milliseconds(20))
        guard
            case .logChunk(let running)? = fleet.messages.last(where: { if case .logChunk = $0 { true } else { false } }
            )
        else {
            Issue.record("no chunk")
            return
        }
        #expect(running.bytes == [1, 2] && running.nextOffset == 7 && !running.isFinal)
        fleet.notify(.launchFailed(web, SpecProblem("command", "is not there")))
        fleet.notify(.logRead(read))
        fleet.run(.milliseconds(20))
        guard
            case .logChunk(let ended)? = fleet.messages.last(where: { if case .logChunk = $0 { true } else { false } })
        else {
            Issue.record("no chunk")
            return
        }
        #expect(ended.isFinal)
    }

    @Test func `a ping measures the round trip, and an unknown peer is an error`() {
        let fleet = member()
        fleet.run(.seconds(1))
        fleet.onMessage = { message in
            if case .lookUp(.name(let name)) = message {
                fleet.send(.lookUpReply(LookUpReply(.name(name), node: nil)))
            }
        }
        fleet.ask(1, .ping(PingPeer(peer: "controller", count: 3, intervalMilliseconds: 100)))
        fleet.ask(2, .ping(PingPeer(peer: "nobody")))
        fleet.ask(3, .ping(PingPeer(peer: "controller", count: 0)))
        fleet.run(.seconds(3))
        guard case .success(.ping(let view))? = fleet.replies(to: 1).first,
            case .failure(let unknown)? = fleet.replies(to: 2).first,
            case .failure(let wrong)? = fleet.replies(to: 3).first
        else {
            Issue.record("no answers")
            return
        }
        #expect(view.sent == 3)
        #expect(view.roundTripsMicroseconds == [10_000, 10_000, 10_000])
        #expect(unknown.code == .notFound)
        #expect(wrong.field == "count")
    }

    @Test func `a ping of a node that the directory does not know is answered`() {
        let fleet = member()
        fleet.run(.seconds(1))
        let unknownPeer = NodeID([UInt8](repeating: 9, count: 32))!
        fleet.onMessage = { message in
            if case .lookUp(.node(let node)) = message {
                fleet.send(.lookUpReply(LookUpReply(.node(node), node: node)))
            }
        }
        fleet.ask(1, .ping(PingPeer(peer: unknownPeer.hex)))
        fleet.run(.seconds(1))
        guard case .failure(let error)? = fleet.replies(to: 1).first else {
            Issue.record("no answer")
            return
        }
        #expect(error.code == .notFound)
    }

    // MARK: - The end

    @Test func `a node that leaves states that in a heartbeat, and is done when it is acknowledged`() {
        let fleet = member()
        fleet.run(.seconds(2))
        fleet.notify(.stopping(leave: true))
        fleet.run(.milliseconds(50))
        #expect(fleet.heartbeats.last?.state == .leaving)
        #expect(fleet.actions.last == .stopped)
        let count = fleet.heartbeats.count
        fleet.run(.seconds(5))
        #expect(fleet.heartbeats.count == count)
        #expect(fleet.actions.count { $0 == .stopped } == 1)
    }

    @Test func `a node that leaves without an acknowledgement is done after a second`() {
        let fleet = member()
        fleet.run(.seconds(2))
        fleet.isCut = true
        fleet.notify(.stopping(leave: true))
        fleet.run(.milliseconds(900))
        #expect(!fleet.actions.contains(.stopped))
        fleet.run(.milliseconds(200))
        #expect(fleet.actions.contains(.stopped))
    }

    @Test func `leaving while the directory is due does not spin`() {
        let fleet = member()
        fleet.run(.milliseconds(39_900))
        fleet.isCut = true
        fleet.notify(.stopping(leave: true))
        fleet.run(.seconds(2))
        #expect(fleet.actions.last == .stopped)
    }

    @Test func `a stop without leaving ends at once and does not report a leave`() {
        let fleet = member()
        fleet.run(.seconds(2))
        fleet.notify(.stopping(leave: false))
        #expect(fleet.actions.last == .stopped)
        fleet.run(.seconds(1))
        #expect(fleet.heartbeats.allSatisfy { $0.state == .running })
    }

    @Test func `garbage changes nothing and crashes nothing`() {
        let fleet = member()
        fleet.run(.seconds(1))
        var random = Random(Seed(5))
        var out = AgentOutbox()
        for _ in 0..<2000 {
            var batch = DatagramBatch()
            let bytes = (0..<random.index(below: 1400)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            batch.append(bytes, remote: TestFleet.controllerAddress)
            fleet.agent?.received(&batch, now: fleet.now, into: &out)
        }
        #expect(out.actions.isEmpty)
        let before = fleet.heartbeats.count
        fleet.run(.seconds(3))
        #expect(fleet.heartbeats.count > before)
    }
}
