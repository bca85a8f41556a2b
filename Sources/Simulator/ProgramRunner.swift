import Base
import Control
import Wire

/// # Programs in virtual time
///
/// Starts the program of a machine, wakes it at its deadline, executes its effects, pauses it and ends it. All effects after
/// a `persist` wait until the disk has written it. The results of a host's actions on workers come back to the program as
/// messages, a little later.
final class ProgramRunner {
    private unowned let simulation: Simulation
    /// The effects of one `flush`, kept for its memory.
    private var effects: [Effect] = []

    init(of simulation: Simulation) { self.simulation = simulation }

    private var now: Instant { simulation.now }
    private var scenario: Scenario { simulation.scenario }

    func start(_ machine: Machine) {
        guard machine.program == nil, !machine.isRetired else { return }
        machine.beginLife()
        simulation.record(.started, machine.index, UInt64(machine.life))
        let local = machine.local(now), wall = machine.wall(now)
        let addresses = simulation.network.addresses(of: machine.index)
        if machine.index == 0 {
            var settings = ControllerSettings(name: "controller", addresses: addresses)
            settings.tcpPorts = [TCPLinks.port]
            if scenario.controllerHasName { (settings.addresses, settings.names) = ([], [Scenario.controllerName]) }
            settings.isRelay = scenario.controllerIsRelay
            machine.run(ControllerProcess(machine, settings: settings, now: local, wall: wall))
        } else {
            // Each beacon is in its own failure domain.
            let site = machine.index > scenario.nodes - scenario.beacons ? "site-\(machine.index)" : ""
            machine.run(AgentProcess(machine, addresses: addresses, site: site, now: local, wall: wall))
        }
        simulation.updateSilence(of: machine)
        flush(machine)
        if machine.index == 0 { simulation.operators.controllerStarted() }
    }

    // MARK: - Time

    /// The machine's timer fires.
    func wake(_ machine: Machine) {
        guard machine.timer.scheduled == now, machine.pause.until == nil, let program = machine.program else { return }
        machine.timer.cancel()
        simulation.record(.tick, machine.index)
        let ticks = machine.timer.fire(now)
        if ticks > SpinChecker.ticksAtOnce {
            let reason = program.deadline?.reason ?? "nothing"
            simulation.note(.spun(machine: machine.index, ticks: ticks, reason: reason))
        }
        program.tick(now: machine.local(now), wall: machine.wall(now))
        flush(machine)
    }

    /// Arms the machine's timer at the program's deadline, and a little late, as timers are.
    private func scheduleWake(_ machine: Machine) {
        guard let program = machine.program, let deadline = program.deadline else { return }
        let now = now, lateMax = scenario.host.lateMax
        let due = machine.clock.global(deadline.at)
        if let scheduled = machine.timer.scheduled, scheduled <= max(due, now) + lateMax { return }
        // A deadline in the past fires at once, so that a program that never stops asking for that is detected.
        let late = due <= now ? Interval.zero : machine.random.interval(in: .zero...lateMax)
        let time = max(due, now) + late
        machine.timer.schedule(time)
        simulation.schedule(.wake(machine: Int32(machine.index)), at: time)
    }

    // MARK: - Effects

    /// Executes the program's effects. Called after each call into it.
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
        let waits = machine.disk.isBusy, traffic = simulation.traffic
        program.takeDatagrams { batch in
            for index in 0..<batch.count {
                if waits {
                    traffic.holdBack(&batch, index, of: machine)
                } else {
                    traffic.send(&batch, index, from: machine)
                }
            }
        }
        list.removeAll(keepingCapacity: true)
        effects = list
        scheduleWake(machine)
    }

    private func diesBetween(_ machine: Machine, _ count: Int) -> Bool {
        let chance = scenario.faults.crashBetween
        guard chance > 0, count > 0, !simulation.isHealed, machine.random.chance(chance, in: 10_000) else {
            return false
        }
        simulation.counts.faults += 1
        return true
    }

    private func downTime(_ machine: Machine) -> Interval {
        machine.random.interval(in: .milliseconds(5)...max(.milliseconds(6), scenario.faults.downTimeMax))
    }

    private func perform(_ effect: Effect, of machine: Machine) {
        guard !machine.disk.isBusy else { return machine.disk.wait(effect) }
        switch effect {
        case .persist(let write):
            machine.disk.begin(write)
            let time = machine.random.interval(in: .zero...scenario.host.writeMax)
            simulation.schedule(.written(machine: Int32(machine.index), life: machine.life), at: now + time)
        case .datagram(let slot): simulation.traffic.fly(slot, from: machine)
        case .controllerReply(let id, let result): simulation.operators.handleReply(id, result)
        case .agentReply(let id, let isSuccess): simulation.snapshots.handlePong(id, isSuccess)
        case .requestEnded(let address, let failure): simulation.overlay.handleEnd(machine, address, failure)
        case .packet(let bytes): simulation.overlay.handlePacket(bytes, to: machine)
        case .exit: end(machine)
        case .resolve(let names):
            // There is one name: the controller's.
            let addresses = simulation.network.addresses(of: 0).map(\.ip)
            for name in names { queue(.resolved(name, name == Scenario.controllerName ? addresses : []), to: machine) }
        case .launch, .signal, .killTree, .remove, .check: act(effect, on: machine)
        }
    }

    private func act(_ effect: Effect, on machine: Machine) {
        let host = machine.host, index = machine.index
        switch effect {
        case .launch(let worker, let spec):
            simulation.record(.processStarted, index, worker.generation, 0, worker.description)
            host.launch(worker, spec, wall: machine.wall(now))
        case .signal(let worker, let number):
            simulation.record(.signalled, index, worker.generation, UInt64(number), worker.description)
            host.signal(worker, number)
        case .killTree(let worker):
            simulation.record(.treeKilled, index, worker.generation, 0, worker.description)
            host.killTree(worker)
        case .remove(let worker):
            simulation.record(.filesRemoved, index, worker.generation, 0, worker.description)
            host.remove(worker)
        case .check(let operation, let spec): host.check(operation, spec)
        case .persist, .datagram, .controllerReply, .agentReply, .requestEnded, .packet, .exit, .resolve: return
        }
        drain(machine.host, of: machine)
    }

    /// The disk has written.
    func written(_ machine: Machine, _ life: Int32) {
        guard machine.life == life, let write = machine.disk.writing else { return }
        if machine.pause.until != nil {
            return machine.pause.hold(.written(machine: Int32(machine.index), life: life))
        }
        simulation.record(.persisted, machine.index)
        machine.disk.endWrite()
        store(write, on: machine)
        while let effect = machine.disk.nextReady() { perform(effect, of: machine) }
    }

    private func store(_ write: Write, on machine: Machine) {
        switch write {
        case .agentRecord: if scenario.mutation == .forgetsRecords, machine.random.chance(1, in: 2) { return }
        case .store: if scenario.mutation == .controllerForgets, machine.random.chance(1, in: 2) { return }
        case .membership: break
        }
        machine.disk.apply(write)
    }

    // MARK: - Hosts

    /// A process of a worker executes a step of its script.
    func step(_ machine: Machine, _ process: Int, _ step: ProcessStep) {
        machine.host.step(process, step, wall: machine.wall(now))
        drain(machine.host, of: machine)
    }

    /// The machine stops at once, and its processes with it; it starts again later.
    func reboot(_ machine: Machine, downFor time: Interval) {
        simulation.record(.rebooted, machine.index)
        crash(machine, restartAfter: nil)
        machine.host.reboot(wall: machine.wall(now))
        drain(machine.host, of: machine)
        let startsAt = now + time
        machine.clock.restart(at: startsAt - .seconds(1))
        simulation.schedule(.start(machine: Int32(machine.index)), at: startsAt)
    }

    /// Takes the host's facts and messages and what it has planned.
    private func drain(_ host: SimulatedHost, of machine: Machine) {
        let output = host.takeOutput()
        for fact in output.facts {
            if case .processEnded(_, let worker, let pid, _, _) = fact {
                simulation.record(.processEnded, machine.index, UInt64(pid), 0, worker.description)
            }
            simulation.note(fact)
        }
        for plan in output.plans {
            simulation.schedule(
                .process(machine: Int32(machine.index), process: Int32(plan.process), step: plan.step),
                at: now + plan.after)
        }
        for message in output.messages where machine.program != nil { queue(message, to: machine) }
    }

    /// Queues a message for the agent.
    private func queue(_ message: SimulatedHost.Message, to machine: Machine) {
        var time = now + machine.random.interval(in: .zero...scenario.host.reportDelayMax)
        if case .launched = message { time = time + machine.random.interval(in: .zero...scenario.host.launchMax) }
        time = machine.queue(message, at: time)
        simulation.schedule(.informed(machine: Int32(machine.index), life: machine.life, message: 0), at: time)
    }

    /// The agent receives the next message of its host.
    func deliverMessage(_ machine: Machine, _ life: Int32) {
        guard machine.life == life, let agent = machine.agent else { return }
        guard machine.pause.until == nil else {
            return machine.pause.hold(.informed(machine: Int32(machine.index), life: life, message: 0))
        }
        guard let message = machine.nextMessage() else { return }
        simulation.record(.informed, machine.index)
        agent.informed(message, now: machine.local(now), wall: machine.wall(now))
        flush(machine)
    }

    // MARK: - Ends

    /// The program dies now. Effects that were not executed are lost; the current write of the disk may have succeeded.
    func crash(_ machine: Machine, restartAfter: Interval?) {
        guard machine.program != nil else { return }
        simulation.counts.crashes += 1
        simulation.record(.crashed, machine.index, UInt64(machine.life))
        if let write = machine.disk.writing, machine.random.chance(1, in: 2) { store(write, on: machine) }
        if scenario.mutation == .forgetsRecords { machine.host.forgetEnded() }
        end(machine)
        if let restartAfter { simulation.schedule(.start(machine: Int32(machine.index)), at: now + restartAfter) }
    }

    /// The program has ended, for any reason.
    private func end(_ machine: Machine) {
        for slot in machine.disk.waitingDatagrams { simulation.traffic.release(slot) }
        for case .arrival(let slot) in machine.pause.held { simulation.traffic.release(slot) }
        machine.clear()
        simulation.traffic.endStreams(of: machine)
        simulation.note(.overlay(machine: machine.index, .forgotten))
        simulation.updateSilence(of: machine)
    }

    // MARK: - Pauses

    func pause(_ machine: Machine, _ time: Interval) {
        guard machine.isUp else { return }
        simulation.record(.paused, machine.index, UInt64(time.nanoseconds))
        machine.pause.set(until: now + time)
        simulation.schedule(.resume(machine: Int32(machine.index)), at: now + time)
        simulation.updateSilence(of: machine)
    }

    /// Ends a pause before its time; nothing where there is none.
    func endPause(of machine: Machine) {
        guard machine.pause.until != nil else { return }
        machine.pause.set(until: now)
        resume(machine)
    }

    /// The time of a pause may be over.
    func resume(_ machine: Machine) {
        guard let until = machine.pause.until, until <= now else { return }
        simulation.record(.resumed, machine.index)
        let held = machine.pause.end()
        simulation.note(.overlay(machine: machine.index, .delayed))
        simulation.updateSilence(of: machine)
        for event in held {
            switch event {
            case .arrival(let slot):
                if machine.isUp {
                    simulation.traffic.deliver(slot, to: machine)
                } else {
                    simulation.traffic.release(slot)
                }
            case .informed(_, let life, _): deliverMessage(machine, life)
            case .written(_, let life): written(machine, life)
            case .line, .delivery, .connectionLost, .wake, .process, .start, .fault, .command, .patience, .resume,
                .junk, .look, .overlayRequest:
                break
            }
        }
        machine.timer.cancel()
        scheduleWake(machine)
    }
}
