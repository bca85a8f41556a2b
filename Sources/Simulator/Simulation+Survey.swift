import Base
import Control
import Wire

/// Two nodes that want to talk.
struct Pair {
    var from: Int
    var to: Int
    var answered = false
}

// What the controller says is held against what is.

extension Simulation {
    func look(_ index: Int) {
        guard !isHealed else { return }
        survey()
        queue.push(.look(index: Int32(index + 1)), at: now + Simulation.lookEvery)
    }

    @discardableResult
    func survey() -> Survey {
        counts.looks += 1
        var nodes: [NodeView]?
        var workers: [WorkerView]?
        let controller = machines[0]
        if controller.isUp, let process = controller.program as? ControllerProcess {
            let local = controller.local(now)
            if case .nodes(let views) = process.look(.nodesList, now: local) { nodes = views }
            let all = ControllerRequest.workersList(ControllerRequest.WorkersList())
            if case .workers(let views) = process.look(all, now: local) { workers = views }
            flush(controller)
        }
        let truths = machines.dropFirst().map { machine in
            Survey.Machine(
                index: machine.index, node: machine.nodeID, name: machine.name, isUp: machine.isUp,
                isWelcome: machine.isWelcome, lastHeard: machine.lastHeard, processes: machine.host.living,
                overlay4: certifiedAddress(of: machine))
        }
        let survey = Survey(
            machines: truths, nodes: nodes, workers: workers,
            pairs: pairs.map { (from: $0.from, to: $0.to, answered: $0.answered) },
            wishes: wishPairs.map { (from: $0.from, to: $0.to, isReached: $0.isReached && ($0.isServed || $0.to == 0)) }
        )
        note(.surveyed(survey))
        for machine in machines where machine.isUp {
            let holdings = machine.program?.holdings(machines: machines.count, now: machine.local(now)) ?? []
            for holding in holdings {
                note(.held(machine: machine.index, what: holding.what, count: holding.count, limit: holding.limit))
            }
            flush(machine)
        }
        timeline.record(.checked, -1, at: now, UInt64(nodes?.count ?? 0), UInt64(workers?.count ?? 0))
        return survey
    }

    /// Until all checkers are content, or the time is over.
    func settle() {
        let end = now + scenario.settle
        choosePairs()
        chooseWishPairs()
        var complaints: [(String, String)] = []
        repeat {
            askWishPairs()
            askPairs()
            advance(to: min(end, now + .seconds(2)))
            let survey = survey()
            guard !hasFailed else { return }
            complaints = checkers.flatMap { checker in
                checker.unsettled(survey, now: now).map { (checker.name, $0) }
            }
        } while !complaints.isEmpty && now < end
        for (checker, text) in complaints.prefix(20) {
            findings.append(Finding(checker: checker, kind: .liveness, at: now, text: text))
        }
        guard complaints.isEmpty else { return }
        // At rest it must stay at rest.
        advance(to: now + .seconds(3))
        survey()
    }

    // MARK: - Pairs

    private func choosePairs() {
        let all = (1...scenario.nodes).filter { !machines[$0].isRetired }
        guard all.count > 1 else { return }
        for _ in 0..<scenario.operators.pings {
            let from = all[random.index(below: all.count)], to = all[random.index(below: all.count)]
            if from != to { pairs.append(Pair(from: from, to: to)) }
        }
    }

    private func askPairs() {
        for index in pairs.indices where !pairs[index].answered {
            let machine = machines[pairs[index].from]
            guard machine.isUp, let agent = machine.program as? AgentProcess else { continue }
            let peer = machines[pairs[index].to]
            agent.ping(RequestID(UInt64(index)), peer.nodeID, now: machine.local(now))
            flush(machine)
        }
    }

    /// The answer to a `ping` of `askPairs`.
    func answered(_ id: RequestID, _ isSuccess: Bool) {
        guard Int(id.value) < pairs.count, isSuccess else { return }
        pairs[Int(id.value)].answered = true
    }
}
