import Base
import Control
import DequeModule
import Wire

// Programs start, are woken, say what they want done, and die.

extension Simulation {
    func start(_ machine: Machine) {
        guard machine.program == nil, !machine.isRetired else { return }
        machine.life += 1
        timeline.record(.started, machine.index, at: now, UInt64(machine.life))
        let local = machine.local(now), wall = machine.wall(now)
        if machine.index == 0 {
            var settings = ControllerSettings(name: "controller", addresses: network.addresses(of: 0))
            settings.tcpPorts = [TCPLinks.port]
            if scenario.controllerHasName { (settings.addresses, settings.names) = ([], [Scenario.controllerName]) }
            settings.isRelay = scenario.controllerIsRelay
            machine.program = ControllerProcess(machine, settings: settings, now: local, wall: wall)
        } else {
            let addresses = network.addresses(of: machine.index)
            // Beacons are in failure domains of their own.
            let site = machine.index > scenario.nodes - scenario.beacons ? "site-\(machine.index)" : ""
            machine.program = AgentProcess(machine, addresses: addresses, site: site, now: local, wall: wall)
        }
        updateSilence(of: machine)
        flush(machine)
        if machine.index == 0 { operatorsSeeController() }
    }

    func woke(_ machine: Machine) {
        guard machine.scheduledWake == now, machine.pausedUntil == nil, let program = machine.program else { return }
        machine.scheduledWake = nil
        timeline.record(.tick, machine.index, at: now)
        countTick(machine, program)
        program.tick(now: machine.local(now), wall: machine.wall(now))
        flush(machine)
    }

    private func countTick(_ machine: Machine, _ program: any Program) {
        if now - machine.tickInstant > .milliseconds(1) {
            machine.tickInstant = now
            machine.ticksAtInstant = 0
        }
        machine.ticksAtInstant += 1
        if machine.ticksAtInstant > SpinChecker.ticksAtOnce {
            let reason = program.deadline?.reason ?? "nothing"
            note(.spun(machine: machine.index, ticks: machine.ticksAtInstant, reason: reason))
        }
    }

    /// Does what the program wants done. Called after each call into it.
    func flush(_ machine: Machine) {
        guard let program = machine.program else { return }
        var list = effects
        effects = []
        program.takeEffects(&list)
        if diesBetween(machine, list.count) {
            for effect in list.prefix(machine.random.index(below: list.count + 1)) { perform(effect, of: machine) }
            list.removeAll(keepingCapacity: true)
            effects = list
            program.takeDatagrams { _ in }
            return crash(machine, restartAfter: downTime(machine))
        }
        for effect in list { perform(effect, of: machine) }
        let waits = machine.writing != nil
        program.takeDatagrams { batch in
            for index in 0..<batch.count {
                if waits { holdBack(&batch, index, of: machine) } else { send(&batch, index, from: machine) }
            }
        }
        list.removeAll(keepingCapacity: true)
        effects = list
        scheduleWake(machine)
    }

    private func diesBetween(_ machine: Machine, _ count: Int) -> Bool {
        let chance = scenario.faults.crashBetween
        guard chance > 0, count > 0, !isHealed, machine.random.chance(chance, in: 10_000) else { return false }
        counts.faults += 1
        return true
    }

    private func downTime(_ machine: Machine) -> Interval {
        machine.random.interval(in: .milliseconds(5)...max(.milliseconds(6), scenario.faults.downTimeMax))
    }

    /// Arms the machine's timer at the program's deadline, and a little late, as timers are.
    func scheduleWake(_ machine: Machine) {
        guard let program = machine.program, let deadline = program.deadline else { return }
        let due = machine.global(deadline.at)
        if let scheduled = machine.scheduledWake, scheduled <= max(due, now) + scenario.host.lateMax { return }
        // What is due already is done at once, so that a program that wants that for ever is seen to.
        let late = due <= now ? Interval.zero : machine.random.interval(in: .zero...scenario.host.lateMax)
        let time = max(due, now) + late
        machine.scheduledWake = time
        queue.push(.wake(machine: Int32(machine.index)), at: time)
    }

    // MARK: - Effects

    private func perform(_ effect: Effect, of machine: Machine) {
        guard machine.writing == nil else { return machine.waiting.append(effect) }
        switch effect {
        case .persist(let write):
            machine.writing = machine.together(write)
            let time = machine.random.interval(in: .zero...scenario.host.writeMax)
            queue.push(.written(machine: Int32(machine.index), life: machine.life), at: now + time)
        case .datagram(let slot): fly(slot, from: machine)
        case .controllerReply(let id, let result): operatorsHear(id, result)
        case .agentReply(let id, let isSuccess): answered(id, isSuccess)
        case .wishEnded(let address, let failure): wishEnded(machine, address, failure)
        case .packet(let bytes): packetCame(bytes, to: machine)
        case .exit: ended(machine)
        case .resolve(let names):
            // There is one name: the controller's.
            let addresses = network.addresses(of: 0).map(\.ip)
            for name in names { tell(.resolved(name, name == Scenario.controllerName ? addresses : []), to: machine) }
        case .launch, .signal, .killTree, .remove, .check: act(effect, on: machine)
        }
    }

    private func act(_ effect: Effect, on machine: Machine) {
        let host = machine.host, wall = machine.wall(now)
        switch effect {
        case .launch(let worker, let spec):
            timeline.record(.processStarted, machine.index, at: now, worker.generation, 0, worker.description)
            host.launch(worker, spec, wall: wall)
        case .signal(let worker, let number):
            timeline.record(
                .signalled, machine.index, at: now, worker.generation, UInt64(number), worker.description)
            host.signal(worker, number)
        case .killTree(let worker):
            timeline.record(.treeKilled, machine.index, at: now, worker.generation, 0, worker.description)
            host.killTree(worker)
        case .remove(let worker):
            timeline.record(.filesRemoved, machine.index, at: now, worker.generation, 0, worker.description)
            host.remove(worker)
        case .check(let operation, let spec): host.check(operation, spec)
        case .persist, .datagram, .controllerReply, .agentReply, .wishEnded, .packet, .exit, .resolve: return
        }
        afterHost(machine)
    }

    func written(_ machine: Machine, _ life: Int32) {
        guard machine.life == life, let write = machine.writing else { return }
        if machine.pausedUntil != nil {
            return machine.held.append(.written(machine: Int32(machine.index), life: life))
        }
        timeline.record(.persisted, machine.index, at: now)
        machine.writing = nil
        store(write, on: machine)
        while machine.writing == nil, let effect = machine.waiting.popFirst() { perform(effect, of: machine) }
    }

    private func store(_ write: Write, on machine: Machine) {
        switch write {
        case .agentRecord: if scenario.mutation == .forgetsRecords, machine.random.chance(1, in: 2) { return }
        case .store: if scenario.mutation == .controllerForgets, machine.random.chance(1, in: 2) { return }
        case .membership: break
        }
        machine.apply(write)
    }

    // MARK: - Hosts

    /// Takes what the host has to say and what it has planned.
    func afterHost(_ machine: Machine) {
        let host = machine.host
        for fact in host.facts {
            if case .processEnded(_, let worker, let pid, _, _) = fact {
                timeline.record(.processEnded, machine.index, at: now, UInt64(pid), 0, worker.description)
            }
            note(fact)
        }
        host.facts.removeAll(keepingCapacity: true)
        for plan in host.plans {
            queue.push(
                .process(machine: Int32(machine.index), process: Int32(plan.process), step: plan.step),
                at: now + plan.after)
        }
        host.plans.removeAll(keepingCapacity: true)
        for message in host.messages where machine.program != nil { tell(message, to: machine) }
        host.messages.removeAll(keepingCapacity: true)
    }

    /// Queues what the agent is to hear. In order, as a shim's words come in order.
    private func tell(_ message: SimulatedHost.Message, to machine: Machine) {
        var time = now + machine.random.interval(in: .zero...scenario.host.tellMax)
        if case .launched = message { time = time + machine.random.interval(in: .zero...scenario.host.launchMax) }
        time = max(time, machine.lastTold)
        machine.lastTold = time
        machine.messages.append(message)
        queue.push(.told(machine: Int32(machine.index), life: machine.life, message: 0), at: time)
    }

    func told(_ machine: Machine, _ life: Int32) {
        guard machine.life == life, let agent = machine.program as? AgentProcess else { return }
        guard machine.pausedUntil == nil else {
            return machine.held.append(.told(machine: Int32(machine.index), life: life, message: 0))
        }
        guard let message = machine.messages.popFirst() else { return }
        timeline.record(.told, machine.index, at: now)
        agent.told(message, now: machine.local(now), wall: machine.wall(now))
        flush(machine)
    }

    func stepped(_ machine: Machine, _ process: Int, _ step: ProcessStep) {
        machine.host.step(process, step, wall: machine.wall(now))
        afterHost(machine)
    }

    // MARK: - Ends

    /// The program dies here and now. What it had not done is not done; the write that the disk was at may have been.
    func crash(_ machine: Machine, restartAfter: Interval?) {
        guard machine.program != nil else { return }
        counts.crashes += 1
        timeline.record(.crashed, machine.index, at: now, UInt64(machine.life))
        if let write = machine.writing, machine.random.chance(1, in: 2) { store(write, on: machine) }
        if scenario.mutation == .forgetsRecords { machine.host.forgetEnded() }
        ended(machine)
        if let restartAfter { queue.push(.start(machine: Int32(machine.index)), at: now + restartAfter) }
    }

    /// The program is gone, for whatever reason.
    private func ended(_ machine: Machine) {
        for case .datagram(let slot) in machine.waiting { pool.release(slot) }
        for case .arrival(let slot) in machine.held { pool.release(slot) }
        machine.clear()
        endStreams(of: machine)
        note(.overlay(machine: machine.index, .forgotten))
        updateSilence(of: machine)
    }

    func pause(_ machine: Machine, _ time: Interval) {
        guard machine.isUp else { return }
        timeline.record(.paused, machine.index, at: now, UInt64(time.nanoseconds))
        machine.pausedUntil = now + time
        queue.push(.resume(machine: Int32(machine.index)), at: now + time)
        updateSilence(of: machine)
    }

    func resumed(_ machine: Machine) {
        guard let until = machine.pausedUntil, until <= now else { return }
        timeline.record(.resumed, machine.index, at: now)
        machine.pausedUntil = nil
        note(.overlay(machine: machine.index, .delayed))
        updateSilence(of: machine)
        let held = machine.held
        machine.held = []
        machine.heldDatagrams = 0
        for event in held {
            switch event {
            case .arrival(let slot): if machine.isUp { deliver(slot, to: machine) } else { pool.release(slot) }
            case .told(_, let life, _): told(machine, life)
            case .written(_, let life): written(machine, life)
            case .line, .delivery, .connectionLost, .wake, .process, .start, .fault, .command, .patience, .resume,
                .stranger,
                .look, .wish:
                break
            }
        }
        machine.scheduledWake = nil
        scheduleWake(machine)
    }
}
