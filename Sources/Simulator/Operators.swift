import Base
import Control
import Noise
import Wire

/// # Operators
///
/// They set up the fleet when the controller starts for the first time, and then run, stop and remove workers, repeat
/// commands, and get names wrong. An operator without an answer asks again, with the same operation. Operators remember which
/// commands they gave and which of them wait for an answer.
final class Operators {
    private struct Asked {
        let command: Command
        let purpose: Purpose
        var attempts = 0
        var isAnswered = false

        init(_ command: Command, _ purpose: Purpose) {
            self.command = command
            self.purpose = purpose
        }
    }
    /// What an answer is used for.
    private enum Purpose {
        case order
        /// The fleet's token.
        case welcome
        /// The beacons'.
        case welcomeBeacons
        /// A token for this machine that is to be invalid: expired, or revoked.
        case expiring(machine: Int)
        case revoked(machine: Int)
        case revocation(machine: Int, token: String)
    }

    private unowned let simulation: Simulation
    private var random: Random
    private var asked: [Asked] = []
    private var commandOf = Table<RequestID, Int>()
    private var requests: UInt64 = 0
    private var hasBegun = false
    /// Names of workers that were run.
    private var names: [String] = []

    init(of simulation: Simulation, random: Random) {
        self.simulation = simulation
        self.random = random
    }

    private var now: Instant { simulation.now }
    private var scenario: Scenario { simulation.scenario }
    private var machines: [Machine] { simulation.machines }

    private static let patience = Interval.seconds(7)

    /// The controller has started; at its first start the fleet is set up.
    func controllerStarted() {
        guard !hasBegun else { return }
        hasBegun = true
        let others = scenario.nodes - scenario.beacons
        let welcome = TokensCreate(ttlSeconds: 3600, uses: Int64(others), name: "fleet")
        ask(.tokensCreate(welcome), .welcome)
        if scenario.beacons > 0 {
            let beacons = TokensCreate(
                ttlSeconds: 3600, uses: Int64(scenario.beacons), name: "beacons", isForBeacons: true)
            ask(.tokensCreate(beacons), .welcomeBeacons)
        }
        for index in (scenario.nodes + 1)..<machines.count {
            switch index % 3 {
            case 0: ask(.tokensCreate(TokensCreate(ttlSeconds: 1)), .expiring(machine: index))
            case 1: ask(.tokensCreate(TokensCreate()), .revoked(machine: index))
            default: break
            }
        }
        for index in 0..<Int(simulation.draws(scenario.operators.commands)) {
            let time = random.time(from: now + .seconds(2), to: simulation.safetyEnd)
            simulation.schedule(.command(index: Int32(index)), at: time)
        }
    }

    /// It is time for a command.
    func command(_ index: Int) {
        let options = scenario.operators
        let orders = asked.indices.filter {
            if case .order = asked[$0].purpose { true } else { false }
        }
        if !orders.isEmpty, random.chance(options.repetition, in: 10_000) {
            return put(orders[random.index(below: orders.count)])
        }
        if random.chance(options.nonsense, in: 10_000) {
            return ask(nonsense(index), .order, isNonsense: true)
        }
        switch random.next(below: 10) {
        case 0...6: ask(.workersRun(run(index)), .order)
        case 7, 8:
            if let name = anyName() {
                let grace: Int64? = random.chance(1, in: 3) ? random.next(in: 0...5) : nil
                ask(
                    .workersStop(
                        WorkersStop(name: name, operation: "op-\(index)", graceSeconds: grace)),
                    .order)
            }
        default:
            if let name = anyName() {
                ask(.workersRemove(WorkersRemove(name: name, operation: "op-\(index)")), .order)
            }
        }
    }

    private func anyName() -> String? {
        names.isEmpty ? nil : names[random.index(below: names.count)]
    }

    private func run(_ index: Int) -> WorkersRun {
        let script = WorkerScript.draw(scenario.host.scripts, &random)
        var spec = WorkerSpec(command: script.command)
        let modes: [RestartPolicy.Mode] = [.never, .never, .onFailure, .always]
        spec.restart.mode = modes[random.index(below: modes.count)]
        spec.restart.maxRestarts = [0, 2, 10][random.index(below: 3)]
        spec.stop.graceSeconds = random.next(in: 0...5)
        let name = "w\(random.index(below: scenario.operators.names))"
        if !names.contains(name) { names.append(name) }
        var node: String?
        if random.chance(3, in: 4) {
            node = machines[1 + random.index(below: scenario.nodes)].name
        }
        return WorkersRun(name: name, node: node, spec: spec, operation: "op-\(index)")
    }

    private func nonsense(_ index: Int) -> ControllerRequest {
        let spec = WorkerSpec(command: ["/sim/runs", "0", "1"])
        let operation = "op-\(index)"
        switch random.next(below: 4) {
        case 0:
            return .workersRun(
                WorkersRun(name: "lost", node: "no-such-node", spec: spec, operation: operation))
        case 1: return .workersStop(WorkersStop(name: "no-such-worker", operation: operation))
        case 2:
            return .workersRun(
                WorkersRun(name: "empty", spec: WorkerSpec(command: []), operation: operation))
        default: return .nodesGet(NodesGet(node: "no-such-node"))
        }
    }

    // MARK: - Asking

    private func ask(_ request: ControllerRequest, _ purpose: Purpose, isNonsense: Bool = false) {
        let index = asked.count
        let command = Command(index: index, request: request, isNonsense: isNonsense)
        asked.append(Asked(command, purpose))
        simulation.counts.commands += 1
        put(index)
    }

    /// Gives a command, for the first time or again.
    private func put(_ index: Int) {
        asked[index].attempts += 1
        let command = asked[index].command
        simulation.record(.asked, 0, UInt64(index), 0, "\(command.request)")
        simulation.note(.asked(command))
        requests += 1
        let id = RequestID(requests)
        commandOf[id] = index
        simulation.schedule(
            .patience(command: Int32(index), attempt: Int32(asked[index].attempts)),
            at: now + Operators.patience)
        let machine = machines[0]
        guard machine.isUp, let controller = machine.controller else { return }
        controller.handle(.request(id, command.request), now: machine.local(now))
        simulation.programs.flush(machine)
    }

    /// A command may have had no answer for too long.
    func askAgain(_ index: Int, _ attempt: Int) {
        guard !asked[index].isAnswered, asked[index].attempts == attempt else { return }
        put(index)
    }

    func handleReply(_ id: RequestID, _ result: Result<ControllerReply, APIError>) {
        guard let index = commandOf[id] else { return }
        asked[index].isAnswered = true
        simulation.counts.replies += 1
        switch result {
        case .success: simulation.record(.answered, 0, UInt64(index))
        case .failure(let error):
            simulation.counts.refusals += 1
            simulation.record(.refused, 0, note: "\(index) \(error.code.rawValue): \(error.message)")
        }
        let entry = asked[index]
        simulation.note(.replied(entry.command, result))
        use(result, entry.purpose)
    }

    private func use(_ result: Result<ControllerReply, APIError>, _ purpose: Purpose) {
        guard case .success(let reply) = result else { return }
        switch purpose {
        case .order: break
        case .welcome: if case .token(let view) = reply, let token = view.token { welcome(token) }
        case .welcomeBeacons:
            guard case .token(let view) = reply else { return }
            for index in (scenario.nodes - scenario.beacons + 1)..<(scenario.nodes + 1) {
                enter(index, view.token, after: .zero)
            }
        case .expiring(let machine):
            if case .token(let view) = reply { enter(machine, view.token, after: .seconds(3)) }
        case .revoked(let machine):
            if case .token(let view) = reply, let token = view.token {
                ask(
                    .tokensRevoke(TokensRevoke(id: view.id)),
                    .revocation(machine: machine, token: token))
            }
        case .revocation(let machine, let token): enter(machine, token, after: .milliseconds(10))
        }
    }

    /// The fleet may come. Intruders without a token make one from it.
    private func welcome(_ token: String) {
        guard machines[1].token == nil else { return }
        for index in 1..<(scenario.nodes - scenario.beacons + 1) {
            let within = scenario.operators.startWithin
            enter(index, token, after: random.interval(in: .zero...within))
        }
        for index in (scenario.nodes + 1)..<machines.count where index % 3 == 2 {
            guard var forged = try? TokenText(token) else { continue }
            forged.secret[index % forged.secret.count] ^= 1
            enter(index, forged.text, after: .seconds(1))
        }
    }

    private func enter(_ machine: Int, _ token: String?, after time: Interval) {
        guard machines[machine].token == nil, let token else { return }
        machines[machine].giveToken(token)
        simulation.schedule(.start(machine: Int32(machine)), at: now + time)
    }
}
