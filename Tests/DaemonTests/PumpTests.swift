import Base
import Control
import EventLoop
import Mesh
import Noise
import Testing
import Wire

@testable import Daemon

/// The pump between a core that outputs what it is given and a store that answers when the test decides.
@Suite(.serialized) struct PumpTests {
    private static let here = SocketAddress(.loopback4, 7)

    /// What one turn outputs. A datagram's first byte is its name.
    struct Script {
        var steps: [PumpStep<Int, String>] = []
        var datagrams: [UInt8] = []
        var closedSockets: [UInt16] = []
    }

    struct Core: PumpCore {
        /// Names of inputs, in the order in which the core got them.
        private(set) var seen: [String] = []
        private(set) var deadline: Deadline?
        private var steps: [PumpStep<Int, String>] = []
        private var mesh = MeshStore()

        final class MeshStore { var outbox = MeshOutbox() }

        mutating func handle(_ input: (name: String, script: Script), now: Instant) {
            seen.append(input.name)
            append(input.script)
        }
        mutating func received(_ batch: inout DatagramBatch, now: Instant) {
            for index in 0..<batch.count { seen.append("datagram \(batch.bytes(at: index)[0])") }
        }
        mutating func tick(now: Instant) {
            seen.append("tick")
            deadline = nil
        }
        mutating func arm(at time: Instant) { deadline = Deadline(time, "test") }
        mutating func append(_ script: Script) {
            steps += script.steps
            for name in script.datagrams { mesh.outbox.datagrams.append([name], remote: PumpTests.here) }
            mesh.outbox.closedSockets += script.closedSockets
        }
        mutating func takeSteps() -> [PumpStep<Int, String>] {
            defer { steps = [] }
            return steps
        }
        mutating func exchange(_ mesh: inout MeshOutbox) { swap(&self.mesh.outbox, &mesh) }
    }

    /// Records what leaves.
    final class Shell: PumpShell {
        let loop = Loop()
        private(set) lazy var pump = Pump(Core(), on: loop, "test")
        /// In order: `stored 1`, `do a`, `send 1 2`, `close 3`, `ended`.
        private(set) var left: [String] = []
        private(set) var submitted: [Int] = []
        private var answers: [Int: () -> Void] = [:]
        /// Whether the store answers before it returns.
        var isSynchronous = false
        /// Done in the middle of the action of that name.
        var onAction: [String: () -> Void] = [:]
        var onSend: (() -> Void)?

        init(isSynchronous: Bool = false) {
            self.isSynchronous = isSynchronous
            pump.attach(self)
        }

        func store(_ change: Int, durable: @escaping () -> Void) {
            submitted.append(change)
            if isSynchronous { durable() } else { answers[change] = durable }
        }
        func stored(_ change: Int) { left.append("stored \(change)") }
        func perform(_ action: String) {
            left.append("do \(action)")
            onAction[action]?()
        }
        func send(_ mesh: inout MeshOutbox) {
            let names = (0..<mesh.datagrams.count).map { "\(mesh.datagrams.bytes(at: $0)[0])" }
            if !names.isEmpty { left.append("send \(names.joined(separator: " "))") }
            for number in mesh.closedSockets { left.append("close \(number)") }
            mesh.datagrams.removeAll()
            mesh.closedSockets.removeAll()
            onSend?()
        }
        func ended() { left.append("ended") }

        /// The store answers for a change, once.
        func answer(_ change: Int) { answers.removeValue(forKey: change)?() }
        func answerAgain(_ change: Int) -> (() -> Void)? { answers[change] }
        func input(_ name: String, _ steps: [PumpStep<Int, String>] = [], datagrams: [UInt8] = []) {
            pump.handle((name, Script(steps: steps, datagrams: datagrams)))
        }
    }

    // MARK: - Durability

    @Test func `with a store that answers at once nothing is held, and all leaves in order`() {
        let shell = Shell(isSynchronous: true)
        shell.input("a", [.perform("x"), .store(1), .perform("y"), .store(2)], datagrams: [1, 2])
        #expect(shell.left == ["do x", "stored 1", "do y", "stored 2", "send 1 2"])
    }

    @Test func `outputs wait for the change before them, over turns, and those before it do not`() {
        let shell = Shell()
        shell.input("a", [.perform("before"), .store(1), .perform("after")], datagrams: [1])
        shell.input("b", [.perform("later")], datagrams: [2])
        #expect(shell.submitted == [1])
        #expect(shell.left == ["do before"])
        shell.answer(1)
        #expect(shell.left == ["do before", "stored 1", "do after", "send 1", "do later", "send 2"])
        shell.input("c", [.perform("now")])
        #expect(shell.left.last == "do now")
    }

    @Test func `changes go to the store at once, and answers out of order change no order`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")])
        shell.input("b", [.store(2), .perform("y")])
        shell.input("c", [.store(3), .perform("z")])
        #expect(shell.submitted == [1, 2, 3])
        shell.answer(3)
        shell.answer(2)
        #expect(shell.left == [])
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do x", "stored 2", "do y", "stored 3", "do z"])
    }

    @Test func `a store may answer for one change at once and for another later`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")])
        shell.isSynchronous = true
        shell.input("b", [.store(2), .perform("y")])
        #expect(shell.left == [])
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do x", "stored 2", "do y"])
    }

    @Test func `a second answer for a change does nothing`() throws {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")])
        let durable = try #require(shell.answerAgain(1))
        durable()
        shell.input("b", [.store(2), .perform("y")])
        durable()
        #expect(shell.left == ["stored 1", "do x"])
    }

    @Test func `small turns that wait leave as one batch, and a closed socket keeps its place`() {
        let shell = Shell()
        shell.input("a", [.store(1)], datagrams: [1])
        shell.input("b", datagrams: [2])
        shell.pump.handle(("c", Script(datagrams: [3], closedSockets: [9])))
        shell.input("d", datagrams: [4])
        shell.input("e", datagrams: [5])
        shell.answer(1)
        #expect(shell.left == ["stored 1", "send 1 2", "send 3", "close 9", "send 4 5"])
    }

    @Test func `datagrams that wait take so much memory and no more`() {
        let shell = Shell()
        shell.input("a", [.store(1)])
        let size = 60_000
        for _ in 0..<100 {
            shell.pump.turn { core, _ in
                var mesh = MeshOutbox()
                mesh.datagrams.append([UInt8](repeating: 7, count: size), remote: Self.here)
                core.exchange(&mesh)
            }
        }
        let kept = Pump<Core>.heldLimit / size
        #expect((kept - 1...kept).contains(100 - shell.pump.dropped))
        shell.input("b", [.perform("kept")])
        shell.answer(1)
        #expect(shell.left.last == "do kept")
        shell.input("c", [.store(2)], datagrams: [1])
        let before = shell.pump.dropped
        shell.answer(2)
        #expect(shell.left.last == "send 1" && shell.pump.dropped == before)
    }

    // MARK: - Re-entry

    @Test func `what an action brings is handled after its turn, and in order`() {
        let shell = Shell(isSynchronous: true)
        shell.onAction["x"] = {
            shell.input("second", [.perform("z")])
            shell.pump.turn { core, _ in core.append(Script(steps: [.perform("called")])) }
            var batch = DatagramBatch()
            batch.append([5], remote: Self.here)
            shell.pump.received(&batch)
            // As the owner of a batch does.
            batch.removeAll()
            #expect(shell.pump.core.seen == ["first"])
        }
        shell.input("first", [.perform("x"), .perform("y")], datagrams: [1])
        #expect(shell.left == ["do x", "do y", "send 1", "do z", "do called"])
        #expect(shell.pump.core.seen == ["first", "second", "datagram 5"])
    }

    @Test func `what sending brings is handled after its turn`() {
        let shell = Shell(isSynchronous: true)
        shell.onSend = {
            shell.onSend = nil
            shell.input("lost", [.perform("x")])
            #expect(shell.pump.core.seen == ["a"])
        }
        shell.input("a", datagrams: [1])
        #expect(shell.left == ["send 1", "do x"])
    }

    @Test func `a store that answers while an action is done does not run the rest inside it`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x"), .store(2), .perform("y")], datagrams: [1])
        shell.onAction["x"] = {
            shell.answer(2)
            #expect(shell.left.last == "do x")
        }
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do x", "stored 2", "do y", "send 1"])
    }

    @Test func `an input from the store's answer is a turn of its own`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")], datagrams: [1])
        shell.onAction["x"] = { shell.input("b", [.perform("y")]) }
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do x", "send 1", "do y"])
    }

    // MARK: - Time and end

    @Test func `it ticks at the core's deadline`() {
        let shell = Shell()
        shell.pump.turn { core, now in core.arm(at: now + .milliseconds(5)) }
        let limit = Timer(on: shell.loop, "test limit") {}
        limit.arm(every: .milliseconds(5))
        defer { limit.close() }
        for _ in 0..<1000 where shell.pump.core.seen.isEmpty { shell.loop.runOnce() }
        #expect(shell.pump.core.seen == ["tick"])
        shell.pump.close()
    }

    @Test func `the end comes once, after all held outputs, and no input is accepted meanwhile`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")], datagrams: [1])
        shell.pump.end()
        shell.input("late", [.perform("never")])
        #expect(shell.left == [])
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do x", "send 1", "ended"])
        shell.pump.end()
        shell.input("later", [.perform("never")])
        #expect(shell.left.count == 4)
    }

    @Test func `an end in an action lets its turn and what waits for it leave first`() {
        let shell = Shell(isSynchronous: true)
        shell.onAction["stop"] = {
            shell.pump.end()
            shell.input("its own consequence", [.perform("y")])
        }
        shell.input("a", [.perform("stop"), .perform("x")], datagrams: [1])
        #expect(shell.left == ["do stop", "do x", "send 1", "do y", "ended"])
    }

    @Test func `an end in an action that was held ends after the rest`() {
        let shell = Shell()
        shell.onAction["stop"] = { shell.pump.end() }
        shell.input("a", [.store(1), .perform("stop"), .store(2)], datagrams: [1])
        shell.answer(1)
        #expect(shell.left == ["stored 1", "do stop"])
        shell.answer(2)
        #expect(shell.left == ["stored 1", "do stop", "stored 2", "send 1", "ended"])
    }

    @Test func `after close nothing leaves, whatever the store answers`() {
        let shell = Shell()
        shell.input("a", [.store(1), .perform("x")], datagrams: [1])
        shell.pump.close()
        shell.answer(1)
        shell.input("b", [.perform("y")])
        #expect(shell.left == [])
    }

    @Test func `a pump that is gone is not called by its store`() {
        var shell: Shell? = Shell()
        shell?.input("a", [.store(1), .perform("x")])
        let durable = shell?.answerAgain(1)
        weak let pump = shell?.pump
        shell = nil
        #expect(pump == nil)
        durable?()
    }

    // MARK: - Cores

    @Test func `the controller's changes of one turn are one transaction, before its replies`() {
        let authority = Authority(
            fleet: FleetID(1, 2), key: SigningKey([UInt8](repeating: 1, count: SigningKey.count))!)
        var core = PumpedController(
            Controller(
                identity: Identity(SecretKey([UInt8](repeating: 2, count: SecretKey.count))!), authority: authority,
                settings: ControllerSettings(name: "c", addresses: []), stored: StoredState(), incarnation: 1,
                seed: Seed(1, 2, 3, 4), now: .origin, wall: UnixTime(seconds: 1_800_000_000)))
        let one = StoreChange.counters(StoredCounters()), problem = APIError(.invalid, "test")
        core.out.actions = [
            .reply(RequestID(1), .failure(problem)), .persist([one]), .reply(RequestID(2), .failure(problem)),
            .persist([one, one]),
        ]
        let steps = core.takeSteps()
        #expect(steps.count == 3)
        guard case .store(let changes)? = steps.first else {
            Issue.record("no change first")
            return
        }
        #expect(changes == [one, one, one])
        #expect(core.takeSteps().isEmpty)
    }

    @Test func `the agent's changes keep their places among its actions`() {
        var core = PumpedAgent(
            Agent(
                identity: Identity(SecretKey([UInt8](repeating: 2, count: SecretKey.count))!), membership: nil,
                record: AgentRecord(),
                configuration: AgentConfiguration(name: "n", version: "1", containment: .cgroup), incarnation: 1,
                seed: Seed(1, 2, 3, 4), now: .origin, wall: UnixTime(seconds: 1_800_000_000)))
        core.out.actions = [.ready, .worker(.persist([1])), .stopped, .persistMembership([2])]
        let texts = core.takeSteps().map { step in
            switch step {
            case .store(let change): "\(change)"
            case .perform(let action): "\(action)"
            }
        }
        #expect(texts == ["ready", "workers([1])", "stopped", "membership([2])"])
        #expect(core.takeSteps().isEmpty)
    }
}
