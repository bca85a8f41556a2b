import Base
import Control

/// # Faults
///
/// Draws the times of faults, at the rates of the scenario, and causes them. A fault that lasts (a partition, a gateway
/// without UDP) schedules its own end.
final class FaultInjector {
    /// A fault whose time has been drawn; its target is chosen when it happens.
    private struct Planned {
        enum Kind {
            case agentCrash, reboot, pause, partition, oneWayPartition, clog, roam, clockStep
            case controllerCrash, controllerPause, controllerMove, departure
            case heal(partition: Int)
            case gateway(GatewayFault)
            case udpUnblock(machine: Int)
        }
        let at: Instant
        let kind: Kind
    }

    /// What happens to a gateway between a node and the others.
    private enum GatewayFault: String {
        /// It has lost power for a moment, and all its state.
        case reboot
        /// It gives all mappings in use other ports.
        case rebinding
        /// Its provider gives it another address.
        case renumbering
        /// It blocks outgoing UDP for a while.
        case udpBlock
    }

    private unowned let simulation: Simulation
    private var plan: [Planned] = []

    init(of simulation: Simulation) { self.simulation = simulation }

    private var now: Instant { simulation.now }
    private var options: Scenario.FaultOptions { simulation.scenario.faults }
    private var network: Network { simulation.network }

    // MARK: - The plan

    func begin() {
        let f = options
        let rates: [(Planned.Kind, Int64)] = [
            (.agentCrash, f.agentCrashes), (.reboot, f.reboots), (.pause, f.pauses), (.partition, f.partitions),
            (.oneWayPartition, f.oneWayPartitions), (.clog, f.clogs), (.roam, f.roams), (.clockStep, f.clockSteps),
            (.controllerCrash, f.controllerCrashes), (.controllerPause, f.controllerPauses),
            (.departure, f.departures), (.controllerMove, f.controllerMoves),
        ]
        for (kind, rate) in rates { draw(kind, rate) }
        let gatewayRates: [(GatewayFault, Int64)] = [
            (.reboot, f.gatewayReboots), (.rebinding, f.gatewayRebindings), (.renumbering, f.gatewayRenumberings),
            (.udpBlock, f.udpBlocks),
        ]
        // A fault with rate 0 draws nothing, so that seeds without gateways keep their meaning.
        for (fault, rate) in gatewayRates where rate > 0 { draw(.gateway(fault), rate) }
        for index in plan.indices { simulation.schedule(.fault(index: Int32(index)), at: plan[index].at) }
    }

    private func draw(_ kind: Planned.Kind, _ rate: Int64) {
        for _ in 0..<simulation.draws(rate) {
            plan.append(Planned(at: simulation.random.time(from: now, to: simulation.safetyEnd), kind: kind))
        }
    }

    /// Plans the end of a fault.
    private func plan(_ kind: Planned.Kind, at time: Instant) {
        plan.append(Planned(at: time, kind: kind))
        simulation.schedule(.fault(index: Int32(plan.count - 1)), at: time)
    }

    func happen(_ index: Int) {
        guard !simulation.isHealed else { return }
        simulation.counts.faults += 1
        let programs = simulation.programs, controller = simulation.machines[0]
        switch plan[index].kind {
        case .agentCrash:
            if let machine = anyAgent() { programs.crash(machine, restartAfter: duration(options.downTimeMax)) }
        case .reboot: if let machine = anyAgent() { programs.reboot(machine, downFor: duration(options.downTimeMax)) }
        case .pause: if let machine = anyAgent() { programs.pause(machine, duration(options.pauseMax)) }
        case .partition: part(out: true, in: true)
        case .oneWayPartition:
            let isOut = simulation.random.chance(1, in: 2)
            part(out: isOut, in: !isOut)
        case .clog: if let machine = anyAgent() { clog(machine) }
        case .roam:
            if let machine = anyAgent() {
                simulation.record(.roamed, machine.index)
                roam(machine)
            }
        case .clockStep: stepClock()
        case .controllerCrash: programs.crash(controller, restartAfter: duration(options.downTimeMax))
        case .controllerPause: programs.pause(controller, duration(options.pauseMax))
        case .controllerMove: moveController()
        case .departure: depart()
        case .heal(let partition):
            simulation.record(.healed, -1, UInt64(partition))
            network.heal(partition)
            simulation.updateAllSilences()
        case .gateway(let fault): apply(fault)
        case .udpUnblock(let machine):
            simulation.record(.healed, machine, note: "gateway: UDP")
            network.blockUDP(of: machine, false)
        }
    }

    private func duration(_ longest: Interval) -> Interval {
        // Short ones are as likely as long ones, by order of magnitude.
        let top = max(1, longest.milliseconds)
        var scale = top
        for _ in 0..<simulation.random.next(below: 4) { scale = max(1, scale / 5) }
        return .milliseconds(simulation.random.next(in: 1...scale))
    }

    private func anyAgent() -> Machine? {
        for _ in 0..<8 {
            let machine = simulation.machines[1 + simulation.random.index(below: simulation.scenario.nodes)]
            if machine.program != nil { return machine }
        }
        return nil
    }

    // MARK: - Machines and lines

    private func part(out: Bool, in inwards: Bool) {
        var inside = [Bool](repeating: false, count: simulation.machines.count)
        let share = [1, 2, 10, 50][simulation.random.index(below: 4)]
        for index in inside.indices where simulation.random.chance(UInt64(share), in: 100) { inside[index] = true }
        inside[1 + simulation.random.index(below: simulation.scenario.nodes)] = true
        let id = network.part(inside, out: out, in: inwards)
        simulation.record(.partitioned, -1, UInt64(id), UInt64(inside.count { $0 }))
        plan(.heal(partition: id), at: now + duration(options.partitionMax))
        simulation.updateAllSilences()
    }

    private func clog(_ machine: Machine) {
        simulation.record(.clogged, machine.index)
        let time = simulation.random.interval(in: .milliseconds(100)...(.seconds(3)))
        network.clog(machine.index, until: now + time)
    }

    private func stepClock() {
        let machine = simulation.machines[simulation.random.index(below: simulation.scenario.nodes + 1)]
        // The controller's clock only jumps ahead: if it went back, the controller would rightly accept a token that had
        // expired.
        let longest = machine.index == 0 ? .minutes(4) : options.clockErrorMax
        let error = simulation.random.interval(in: (machine.index == 0 ? .zero : .zero - longest)...longest)
        machine.clock.setError(error)
        simulation.record(.clockStepped, machine.index, UInt64(bitPattern: error.nanoseconds))
        guard machine.pause.until == nil else { return }
        let local = machine.local(now), wall = machine.wall(now)
        machine.controller?.handle(.clock(wall), now: local)
        machine.agent?.handle(.clock(wall), now: local)
        simulation.programs.flush(machine)
    }

    /// The machine gets another address, and with it other sockets.
    func roam(_ machine: Machine) {
        network.roam(machine.index)
        simulation.traffic.endStreams(of: machine, onlyMade: true)
        // The kernel reports that the machine's addresses have changed.
        guard !simulation.scenario.sites.isEmpty, machine.isUp, let agent = machine.agent else { return }
        agent.handle(.addresses(network.addresses(of: machine.index)), now: machine.local(now))
        simulation.programs.flush(machine)
    }

    private func moveController() {
        let machine = simulation.machines[0]
        simulation.record(.roamed, 0)
        roam(machine)
        guard machine.pause.until == nil, let controller = machine.controller else { return }
        if !simulation.scenario.controllerHasName {
            controller.handle(.addresses(network.addresses(of: 0)), now: machine.local(now))
        }
        simulation.programs.flush(machine)
    }

    /// A node leaves and is not seen again.
    private func depart() {
        guard let machine = anyAgent(), machine.isUp, let agent = machine.agent else { return }
        simulation.record(.fault, machine.index, note: "leaves")
        machine.retire()
        agent.handle(.stopping(leave: true), now: machine.local(now))
        simulation.programs.flush(machine)
    }

    // MARK: - Gateways

    private func apply(_ fault: GatewayFault) {
        guard let machine = anyNodeBehindGateway() else { return }
        simulation.record(.fault, machine.index, note: "gateway: \(fault.rawValue)")
        let now = now
        switch fault {
        case .reboot: network.changeGateway(of: machine.index) { $0.reboot() }
        case .rebinding: network.changeGateway(of: machine.index) { $0.rebind(now: now) }
        case .renumbering: network.renumber(machine.index)
        case .udpBlock:
            network.blockUDP(of: machine.index, true)
            return plan(.udpUnblock(machine: machine.index), at: now + duration(options.udpBlockMax))
        }
        simulation.traffic.endStreams(of: machine, onlyMade: true)
    }

    private func anyNodeBehindGateway() -> Machine? {
        let sites = simulation.scenario.sites
        let behind = sites.indices.filter { !sites[$0].gateways.isEmpty }
        return behind.isEmpty ? nil : simulation.machines[behind[simulation.random.index(below: behind.count)]]
    }
}
