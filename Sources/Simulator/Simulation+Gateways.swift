import Base

/// What befalls what stands between a node and the others.
enum GatewayFault: String {
    /// It has lost power for a moment, and knows of nothing.
    case reboot
    /// It gives all that is in use other ports.
    case rebinding
    /// Its provider gives it another address.
    case renumbering
    /// It lets no UDP out for a while.
    case udpBlock
}

extension Simulation {
    func planGatewayFaults() {
        let f = scenario.faults
        let rates: [(GatewayFault, Int64)] = [
            (.reboot, f.gatewayReboots), (.rebinding, f.gatewayRebindings), (.renumbering, f.gatewayRenumberings),
            (.udpBlock, f.udpBlocks),
        ]
        // What does not happen draws nothing, so that seeds without gateways are what they were.
        for (fault, rate) in rates where rate > 0 {
            for _ in 0..<draws(rate) { plan.append(PlannedFault(at: timeOfFault(), kind: .gateway(fault))) }
        }
    }

    func befall(_ fault: GatewayFault) {
        guard let machine = anyNodeBehindGateway() else { return }
        timeline.record(.fault, machine.index, at: now, saying: "gateway: \(fault.rawValue)")
        let now = now
        switch fault {
        case .reboot: network.changeGateway(of: machine.index) { $0.reboot() }
        case .rebinding: network.changeGateway(of: machine.index) { $0.rebind(now: now) }
        case .renumbering: network.renumber(machine.index)
        case .udpBlock:
            network.blockUDP(of: machine.index, true)
            let end = now + duration(scenario.faults.udpBlockMax)
            plan.append(PlannedFault(at: end, kind: .udpUnblock(machine: machine.index)))
            return queue.push(.fault(index: Int32(plan.count - 1)), at: end)
        }
        endStreams(of: machine, onlyMade: true)
    }

    func unblock(_ machine: Int) {
        timeline.record(.healed, machine, at: now, saying: "gateway: UDP")
        network.blockUDP(of: machine, false)
    }

    private func anyNodeBehindGateway() -> Machine? {
        let behind = scenario.sites.indices.filter { !scenario.sites[$0].gateways.isEmpty }
        return behind.isEmpty ? nil : machines[behind[random.index(below: behind.count)]]
    }
}
