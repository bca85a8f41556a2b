import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// Agent and controller of a fleet against each other.
@Suite struct FleetTests {
    private func joined() -> TestPair {
        let pair = TestPair()
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("the node was not let in")
            return pair
        }
        pair.run(.seconds(2))
        return pair
    }

    private func run(
        _ pair: TestPair, _ name: String, operation: String? = nil
    ) -> Result<ControllerReply, APIError>? {
        pair.ask(
            .workersRun(
                WorkersRun(
                    name: name, spec: WorkerSpec(command: ["/bin/sleep", "9"]), operation: operation)))
    }

    @Test func `a node with a token is online and its details are known within two seconds`() {
        let pair = joined()
        var host = HostStatus()
        host.hostname = "box"
        pair.notify(.host(host))
        pair.run(.seconds(2))
        #expect(pair.node?.state == .online)
        #expect(pair.node?.name == "alpha")
        #expect(pair.node?.agentVersion == "0.1.0")
        guard case .success(.node(let view))? = pair.ask(.nodesGet(NodesGet(node: "alpha"))) else {
            Issue.record("no such node")
            return
        }
        #expect(view.host?.hostname == "box")
    }

    @Test func `a token that is unknown or altered admits no node`() throws {
        let pair = TestPair()
        let token = pair.createToken()
        var altered = try TokenText(token)
        altered.secret[0] ^= 1
        guard case .failure(let wrong)? = pair.join(altered.text) else {
            Issue.record("an altered secret was taken")
            return
        }
        #expect(wrong.code == .refused && wrong.message.contains("wrongProof"))
        altered = try TokenText(token)
        altered.id[0] ^= 1
        guard case .failure(let unknown)? = pair.join(altered.text) else {
            Issue.record("an unknown token was taken")
            return
        }
        #expect(unknown.message.contains("unknownToken"))
        #expect(pair.membership == nil)
        #expect(pair.node == nil)
    }

    @Test func `a token that is used up lets no second node in`() {
        let pair = TestPair()
        let token = pair.createToken()
        guard case .success? = pair.join(token) else {
            Issue.record("the first node was not let in")
            return
        }
        pair.replaceAgent()
        guard case .failure(let error)? = pair.join(token) else {
            Issue.record("a used token was taken")
            return
        }
        #expect(error.message.contains("usedUp") || error.message.contains("nameTaken"))
        #expect(pair.membership == nil)
    }

    @Test func `an expired token admits no node`() {
        let pair = TestPair()
        let token = pair.createToken(ttlSeconds: 60)
        pair.run(.seconds(61))
        guard case .failure(let error)? = pair.join(token) else {
            Issue.record("an expired token was taken")
            return
        }
        #expect(error.message.contains("expired"))
    }

    @Test func `a worker runs where it was checked, and the controller knows its pid`() {
        let pair = joined()
        guard case .success(.worker(let view))? = run(pair, "web") else {
            Issue.record("refused")
            return
        }
        #expect(view.desired == .run)
        pair.run(.milliseconds(100))
        let worker = pair.worker("web")
        #expect(worker?.state == .running)
        #expect(worker?.pid == 77)
        #expect(pair.launches.count == 1)
    }

    @Test func `what the node cannot run is refused by field and leaves no trace`() {
        let pair = joined()
        pair.problems = [SpecProblem("user", "there is no user 'x'")]
        guard case .failure(let error)? = run(pair, "web") else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .invalid)
        #expect(error.field == "user")
        #expect(pair.worker("web") == nil)
        pair.run(.seconds(5))
        #expect(pair.launches.isEmpty)
        #expect(pair.record.workers.isEmpty)
    }

    @Test func `a node that does not answer a check is an error in time, and leaves no trace`() {
        let pair = joined()
        pair.answersChecks = false
        guard case .failure(let error)? = run(pair, "web") else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .timeout)
        #expect(pair.worker("web") == nil)
    }

    @Test func `the same operation asked twice is done once and answered alike`() {
        let pair = joined()
        let first = run(pair, "web", operation: "op-1")
        let second = run(pair, "web", operation: "op-1")
        pair.run(.seconds(2))
        guard case .success(.worker(let a))? = first, case .success(.worker(let b))? = second else {
            Issue.record("refused: \(String(describing: second))")
            return
        }
        #expect(a.name == b.name && a.generation == b.generation)
        #expect(pair.launches.count == 1)
    }

    @Test func `a controller that comes back from its store finds the same worker, and starts nothing`() {
        let pair = joined()
        _ = run(pair, "web")
        pair.run(.seconds(1))
        pair.startController()
        pair.run(.seconds(10))
        #expect(pair.node?.state == .online)
        let worker = pair.worker("web")
        #expect(worker?.state == .running)
        #expect(worker?.pid == 77)
        #expect(pair.launches.count == 1)
    }

    @Test func `an agent that comes back from its disk keeps its worker, and starts nothing`() {
        let pair = joined()
        _ = run(pair, "web")
        pair.run(.seconds(1))
        let ref = pair.launches[0]
        let started = pair.wall
        pair.startAgent(found: [AdoptedWorker(ref, .running(pid: 77, startedAt: started, containment: .subreaper))])
        pair.run(.seconds(5))
        #expect(pair.worker("web")?.pid == 77)
        #expect(pair.launches.count == 1)
        #expect(pair.node?.state == .online)
    }

    @Test func `a worker is stopped, its end is kept, and removal forgets it everywhere`() {
        let pair = joined()
        _ = run(pair, "web")
        pair.run(.seconds(1))
        _ = pair.ask(.workersStop(WorkersStop(name: "web")))
        pair.run(.seconds(1))
        let worker = pair.worker("web")
        #expect(worker?.state == .stopped)
        #expect(worker?.lastExit?.signal == 15)
        #expect(worker?.logBytes == 3)
        _ = pair.ask(.workersRemove(WorkersRemove(name: "web")))
        pair.run(.seconds(2))
        #expect(pair.worker("web") == nil)
        #expect(pair.record.workers.isEmpty)
        #expect(pair.workerActions.contains(.remove(pair.launches[0])))
    }

    @Test func `a log comes from the node`() {
        let pair = joined()
        _ = run(pair, "web")
        pair.run(.seconds(1))
        guard case .success(.log(let view))? = pair.ask(.workersLogs(WorkersLogs(name: "web"))) else {
            Issue.record("no log")
            return
        }
        #expect(view.bytes == Array("hello\n".utf8))
        #expect(!view.isFinal)
    }

    @Test func `a node that leaves is out at once, one that vanishes within four seconds`() {
        let pair = joined()
        pair.notify(.stopping(leave: true))
        pair.run(.milliseconds(300))
        #expect(pair.isAgentDone)
        #expect(pair.node?.state == .left)
        let other = joined()
        other.agent = nil
        other.run(.milliseconds(4900))
        #expect(other.node?.state == .offline)
    }
}
