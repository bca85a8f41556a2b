import Base
import Control

/// A fault whose time has been drawn; whom it meets is decided when it comes.
struct PlannedFault {
    enum Kind {
        case agentCrash, reboot, pause, partition, oneWayPartition, clog, roam, clockStep
        case controllerCrash, controllerPause, controllerMove, departure
        case heal(partition: Int)
        case gateway(GatewayFault)
        case udpUnblock(machine: Int)
    }
    var at: Instant
    var kind: Kind
}

// What breaks, and how it is made whole.

extension Simulation {
    func planFaults() {
        let f = scenario.faults
        let rates: [(PlannedFault.Kind, Int64)] = [
            (.agentCrash, f.agentCrashes), (.reboot, f.reboots), (.pause, f.pauses), (.partition, f.partitions),
            (.oneWayPartition, f.oneWayPartitions), (.clog, f.clogs), (.roam, f.roams), (.clockStep, f.clockSteps),
            (.controllerCrash, f.controllerCrashes), (.controllerPause, f.controllerPauses),
            (.departure, f.departures), (.controllerMove, f.controllerMoves),
        ]
        for (kind, rate) in rates {
            for _ in 0..<draws(rate) { plan.append(PlannedFault(at: timeOfFault(), kind: kind)) }
        }
        planGatewayFaults()
        for index in plan.indices { queue.push(.fault(index: Int32(index)), at: plan[index].at) }
    }

    /// How many events of a rate in a minute fall into the part with faults.
    func draws(_ rate: Int64) -> Int64 {
        let parts = UInt64(rate * scenario.safety.milliseconds)
        return Int64(parts / 60_000) + (random.chance(parts % 60_000, in: 60_000) ? 1 : 0)
    }

    func timeOfFault() -> Instant { random.time(from: now, to: safetyEnd) }

    func faultDue(_ index: Int) {
        guard !isHealed else { return }
        counts.faults += 1
        switch plan[index].kind {
        case .agentCrash:
            if let machine = anyAgent() { crash(machine, restartAfter: duration(scenario.faults.downTimeMax)) }
        case .reboot: if let machine = anyAgent() { reboot(machine) }
        case .pause: if let machine = anyAgent() { pause(machine, duration(scenario.faults.pauseMax)) }
        case .partition: part(out: true, in: true)
        case .oneWayPartition:
            let isOut = random.chance(1, in: 2)
            part(out: isOut, in: !isOut)
        case .clog:
            if let machine = anyAgent() {
                timeline.record(.clogged, machine.index, at: now)
                network.clog(machine.index, until: now + random.interval(in: .milliseconds(100)...(.seconds(3))))
            }
        case .roam:
            if let machine = anyAgent() {
                timeline.record(.roamed, machine.index, at: now)
                roam(machine)
            }
        case .clockStep: stepClock()
        case .controllerCrash: crash(machines[0], restartAfter: duration(scenario.faults.downTimeMax))
        case .controllerPause: pause(machines[0], duration(scenario.faults.pauseMax))
        case .controllerMove: moveController()
        case .departure: depart()
        case .heal(let partition):
            timeline.record(.healed, -1, at: now, UInt64(partition))
            network.heal(partition)
            updateAllSilences()
        case .gateway(let fault): befall(fault)
        case .udpUnblock(let machine): unblock(machine)
        }
    }

    func duration(_ longest: Interval) -> Interval {
        // Short ones are as likely as long ones, by order of magnitude.
        let top = max(1, longest.milliseconds)
        var scale = top
        for _ in 0..<random.next(below: 4) { scale = max(1, scale / 5) }
        return .milliseconds(random.next(in: 1...scale))
    }

    private func anyAgent() -> Machine? {
        for _ in 0..<8 {
            let machine = machines[1 + random.index(below: scenario.nodes)]
            if machine.program != nil { return machine }
        }
        return nil
    }

    private func reboot(_ machine: Machine) {
        timeline.record(.rebooted, machine.index, at: now)
        crash(machine, restartAfter: nil)
        machine.host.reboot(wall: machine.wall(now))
        afterHost(machine)
        let time = duration(scenario.faults.downTimeMax)
        machine.bootedAt = now + time - .seconds(1)
        queue.push(.start(machine: Int32(machine.index)), at: now + time)
    }

    private func part(out: Bool, in inwards: Bool) {
        var inside = [Bool](repeating: false, count: machines.count)
        let share = [1, 2, 10, 50][random.index(below: 4)]
        for index in inside.indices where random.chance(UInt64(share), in: 100) { inside[index] = true }
        inside[1 + random.index(below: scenario.nodes)] = true
        let id = network.part(inside, out: out, in: inwards)
        timeline.record(.partitioned, -1, at: now, UInt64(id), UInt64(inside.count { $0 }))
        plan.append(PlannedFault(at: now + duration(scenario.faults.partitionMax), kind: .heal(partition: id)))
        queue.push(.fault(index: Int32(plan.count - 1)), at: plan[plan.count - 1].at)
        updateAllSilences()
    }

    private func stepClock() {
        let machine = machines[random.index(below: scenario.nodes + 1)]
        // The controller's clock only jumps ahead: turned back, it would rightly honour a token that had expired.
        let longest = machine.index == 0 ? .minutes(4) : scenario.faults.clockErrorMax
        machine.wallError = random.interval(in: (machine.index == 0 ? .zero : .zero - longest)...longest)
        timeline.record(.clockStepped, machine.index, at: now, UInt64(bitPattern: machine.wallError.nanoseconds))
        guard machine.pausedUntil == nil else { return }
        let local = machine.local(now), wall = machine.wall(now)
        if let controller = machine.program as? ControllerProcess { controller.handle(.clock(wall), now: local) }
        if let agent = machine.program as? AgentProcess { agent.handle(.clock(wall), now: local) }
        flush(machine)
    }

    private func moveController() {
        timeline.record(.roamed, 0, at: now)
        roam(machines[0])
        guard machines[0].pausedUntil == nil, let controller = machines[0].program as? ControllerProcess else { return }
        if !scenario.controllerHasName {
            controller.handle(.addresses(network.addresses(of: 0)), now: machines[0].local(now))
        }
        flush(machines[0])
    }

    /// A node says goodbye and is not seen again.
    private func depart() {
        guard let machine = anyAgent(), machine.isUp, let agent = machine.program as? AgentProcess else { return }
        timeline.record(.fault, machine.index, at: now, saying: "leaves")
        machine.isRetired = true
        agent.handle(.stopping(leave: true), now: machine.local(now))
        flush(machine)
    }

    // MARK: - Silence

    /// Whether the controller could hear the machine at all, and the machine the controller.
    func updateSilence(of machine: Machine) {
        let isParted = machine.index > 0 && network.isParted(machine.index, 0)
        let isSilent = !machine.isUp || isParted
        guard isSilent != machine.isSilenced else { return }
        machine.isSilenced = isSilent
        note(isSilent ? .silenced(machine: machine.index) : .heardAgain(machine: machine.index))
    }

    private func updateAllSilences() { for machine in machines { updateSilence(of: machine) } }

    // MARK: - The end of all faults

    func heal() {
        isHealed = true
        timeline.record(.healed, -1, at: now)
        let deaf = scenario.mutation == .neverHeals ? machines[1] : nil
        network.healAll()
        if let deaf {
            var inside = [Bool](repeating: false, count: machines.count)
            inside[deaf.index] = true
            _ = network.part(inside, out: true, in: true)
        }
        for machine in machines {
            if machine.pausedUntil != nil {
                machine.pausedUntil = now
                resumed(machine)
            }
            if machine.program == nil, !machine.isRetired, machine.index == 0 || machine.token != nil {
                queue.push(.start(machine: Int32(machine.index)), at: now + .milliseconds(Int64(machine.index % 50)))
            }
        }
        updateAllSilences()
    }
}

extension Random {
    mutating func time(from start: Instant, to end: Instant) -> Instant {
        start + interval(in: .zero...max(.zero, end - start))
    }
}
