import Base
import Control
import Noise
import Wire

/// What the operators know: the commands that they gave and which of them wait for an answer.
struct Operators {
    struct Asked {
        var command: Command
        var attempts = 0
        var isAnswered = false
        var purpose: Purpose
    }
    /// What an answer is good for.
    enum Purpose {
        case order
        /// The fleet's token.
        case welcome
        /// The beacons'.
        case welcomeBeacons
        /// A token for this machine that is to be no good: expired, or revoked.
        case expiring(machine: Int)
        case revoked(machine: Int)
        case revocation(machine: Int, token: String)
    }
    var random: Random
    var asked: [Asked] = []
    var commandOf = Table<RequestID, Int>()
    var requests: UInt64 = 0
    var hasBegun = false
    var names: [String] = []

    init(_ random: Random) { self.random = random }
}

struct PlannedCommand {
    var at: Instant
}

// People at the keyboard: they run, stop and remove workers, say it twice, and get names wrong. Who gets no answer asks
// again, under the same name.

extension Simulation {
    private static let patience = Interval.seconds(7)

    /// The controller has started; at its first start the fleet is set up.
    func operatorsSeeController() {
        guard !operators.hasBegun else { return }
        operators.hasBegun = true
        let others = scenario.nodes - scenario.beacons
        let welcome = ControllerRequest.TokensCreate(ttlSeconds: 3600, uses: Int64(others), name: "fleet")
        ask(.tokensCreate(welcome), .welcome)
        if scenario.beacons > 0 {
            let beacons = ControllerRequest.TokensCreate(
                ttlSeconds: 3600, uses: Int64(scenario.beacons), name: "beacons", isForBeacons: true)
            ask(.tokensCreate(beacons), .welcomeBeacons)
        }
        for index in (scenario.nodes + 1)..<machines.count {
            switch index % 3 {
            case 0: ask(.tokensCreate(ControllerRequest.TokensCreate(ttlSeconds: 1)), .expiring(machine: index))
            case 1: ask(.tokensCreate(ControllerRequest.TokensCreate()), .revoked(machine: index))
            default: break
            }
        }
        for index in 0..<Int(draws(scenario.operators.commands)) {
            commandPlan.append(PlannedCommand(at: operators.random.time(from: now + .seconds(2), to: safetyEnd)))
            queue.push(.command(index: Int32(index)), at: commandPlan[index].at)
        }
    }

    func commandDue(_ index: Int) {
        let options = scenario.operators
        let orders = operators.asked.indices.filter {
            if case .order = operators.asked[$0].purpose { true } else { false }
        }
        if !orders.isEmpty, operators.random.chance(options.repetition, in: 10_000) {
            return put(orders[operators.random.index(below: orders.count)])
        }
        if operators.random.chance(options.nonsense, in: 10_000) {
            return ask(nonsense(index), .order, isNonsense: true)
        }
        switch operators.random.next(below: 10) {
        case 0...6: ask(.workersRun(run(index)), .order)
        case 7, 8:
            if let name = anyName() {
                let grace: Int64? = operators.random.chance(1, in: 3) ? operators.random.next(in: 0...5) : nil
                ask(
                    .workersStop(
                        ControllerRequest.WorkersStop(name: name, operation: "op-\(index)", graceSeconds: grace)),
                    .order)
            }
        default:
            if let name = anyName() {
                ask(.workersRemove(ControllerRequest.WorkersRemove(name: name, operation: "op-\(index)")), .order)
            }
        }
    }

    private func anyName() -> String? {
        operators.names.isEmpty ? nil : operators.names[operators.random.index(below: operators.names.count)]
    }

    private func run(_ index: Int) -> ControllerRequest.WorkersRun {
        let script = WorkerScript.draw(scenario.host.scripts, &operators.random)
        var spec = WorkerSpec(command: script.command)
        let modes: [RestartPolicy.Mode] = [.never, .never, .onFailure, .always]
        spec.restart.mode = modes[operators.random.index(below: modes.count)]
        spec.restart.maxRestarts = [0, 2, 10][operators.random.index(below: 3)]
        spec.stop.graceSeconds = operators.random.next(in: 0...5)
        let name = "w\(operators.random.index(below: scenario.operators.names))"
        if !operators.names.contains(name) { operators.names.append(name) }
        var node: String?
        if operators.random.chance(3, in: 4) {
            node = machines[1 + operators.random.index(below: scenario.nodes)].name
        }
        return ControllerRequest.WorkersRun(name: name, node: node, spec: spec, operation: "op-\(index)")
    }

    private func nonsense(_ index: Int) -> ControllerRequest {
        let spec = WorkerSpec(command: ["/sim/runs", "0", "1"])
        let operation = "op-\(index)"
        switch operators.random.next(below: 4) {
        case 0:
            return .workersRun(
                ControllerRequest.WorkersRun(name: "lost", node: "no-such-node", spec: spec, operation: operation))
        case 1: return .workersStop(ControllerRequest.WorkersStop(name: "no-such-worker", operation: operation))
        case 2:
            return .workersRun(
                ControllerRequest.WorkersRun(name: "empty", spec: WorkerSpec(command: []), operation: operation))
        default: return .nodesGet(ControllerRequest.NodesGet(node: "no-such-node"))
        }
    }

    // MARK: - Asking

    func ask(_ request: ControllerRequest, _ purpose: Operators.Purpose, isNonsense: Bool = false) {
        let index = operators.asked.count
        let command = Command(index: index, request: request, isNonsense: isNonsense)
        operators.asked.append(Operators.Asked(command: command, purpose: purpose))
        counts.commands += 1
        put(index)
    }

    /// Says a command, for the first time or again.
    private func put(_ index: Int) {
        operators.asked[index].attempts += 1
        let command = operators.asked[index].command
        timeline.record(.asked, 0, at: now, UInt64(index), 0, "\(command.request)")
        note(.asked(command))
        operators.requests += 1
        let id = RequestID(operators.requests)
        operators.commandOf[id] = index
        queue.push(
            .patience(command: Int32(index), attempt: Int32(operators.asked[index].attempts)),
            at: now + Simulation.patience)
        let machine = machines[0]
        guard machine.isUp, let controller = machine.program as? ControllerProcess else { return }
        controller.handle(.request(id, command.request), now: machine.local(now))
        flush(machine)
    }

    func patienceOver(_ index: Int, _ attempt: Int) {
        guard !operators.asked[index].isAnswered, operators.asked[index].attempts == attempt else { return }
        put(index)
    }

    func operatorsHear(_ id: RequestID, _ result: Result<ControllerReply, APIError>) {
        guard let index = operators.commandOf[id] else { return }
        operators.asked[index].isAnswered = true
        counts.replies += 1
        switch result {
        case .success: timeline.record(.answered, 0, at: now, UInt64(index))
        case .failure(let error):
            counts.refusals += 1
            timeline.record(.refused, 0, at: now, saying: "\(index) \(error.code.rawValue): \(error.message)")
        }
        let asked = operators.asked[index]
        note(.replied(asked.command, result))
        use(result, asked.purpose)
    }

    private func use(_ result: Result<ControllerReply, APIError>, _ purpose: Operators.Purpose) {
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
                    .tokensRevoke(ControllerRequest.TokensRevoke(id: view.id)),
                    .revocation(machine: machine, token: token))
            }
        case .revocation(let machine, let token): enter(machine, token, after: .milliseconds(10))
        }
    }

    /// The fleet may come. Intruders who have no token of their own make one from it.
    private func welcome(_ token: String) {
        guard machines[1].token == nil else { return }
        for index in 1..<(scenario.nodes - scenario.beacons + 1) {
            let within = scenario.operators.startWithin
            enter(index, token, after: operators.random.interval(in: .zero...within))
        }
        for index in (scenario.nodes + 1)..<machines.count where index % 3 == 2 {
            guard var forged = try? TokenText(token) else { continue }
            forged.secret[index % forged.secret.count] ^= 1
            enter(index, forged.text, after: .seconds(1))
        }
    }

    private func enter(_ machine: Int, _ token: String?, after time: Interval) {
        guard machines[machine].token == nil, let token else { return }
        machines[machine].token = token
        queue.push(.start(machine: Int32(machine)), at: now + time)
    }
}
