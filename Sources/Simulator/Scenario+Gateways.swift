import Base

// Where the machines of a fleet are, in swarm testing's manner: for some seeds all have public addresses, for others nearly
// none has, and each seed leaves out some kinds of gateways.

extension Scenario {
    /// As without gateways, but with some of the nodes behind one: all else that a seed stands for does not change.
    package init(seed: UInt64, nodes: Int, behindGateways: Bool) {
        self.init(seed: seed, nodes: nodes)
        guard behindGateways else { return }
        var random = Random(Seed(seed ^ 0x6761_7465_7761_7973))
        drawSites(&random)
        if gatewayShare > 0 { faults.drawGatewayFaults(&random, nodes: nodes) }
    }

    private mutating func drawSites(_ random: inout Random) {
        gatewayShare = [0, 2000, 5000, 9000, 10_000][random.index(below: 5)]
        let dual: UInt64 = [0, 3000, 10_000][random.index(below: 3)]
        // With public addresses, as beacons must have; the controller is a relay as well.
        beacons = min(random.index(below: 5), nodes / 4)
        let all = GridSite.allCases.filter { $0 != .open }
        var kinds = all.filter { _ in random.chance(1, in: 2) }
        if kinds.isEmpty { kinds = all }
        sites = (0..<nodes + 1).map { index in
            let isOpen = index == 0 || index > nodes - beacons || !random.chance(gatewayShare, in: 10_000)
            let kind = isOpen ? GridSite.open : kinds[random.index(below: kinds.count)]
            return random.chance(dual, in: 10_000) ? kind.dualSite : kind.site
        }
    }

    /// A line for people; nothing where all have public addresses.
    var gatewayLine: String? {
        guard !sites.isEmpty else { return nil }
        let behind = sites.count { !$0.gateways.isEmpty }, dual = sites.count(where: \.has6), f = faults
        return "  gateways   \(behind) nodes behind one, \(dual) machines with IPv6, \(beacons) beacons; a minute: "
            + "reboots \(f.gatewayReboots), rebindings \(f.gatewayRebindings), "
            + "renumberings \(f.gatewayRenumberings), UDP blocked \(f.udpBlocks) (at most \(f.udpBlockMax))"
    }
}

extension Scenario.FaultOptions {
    fileprivate mutating func drawGatewayFaults(_ random: inout Random, nodes: Int) {
        let scale = Int64(max(4, nodes) / 4)
        func sometimes(_ values: [Int64]) -> Int64 {
            random.chance(1, in: 2) ? 0 : values[random.index(below: values.count)] * scale
        }
        gatewayReboots = sometimes([1, 4, 16])
        gatewayRebindings = sometimes([1, 4, 16])
        gatewayRenumberings = sometimes([1, 4])
        udpBlocks = sometimes([1, 2, 8])
        udpBlockMax = [.seconds(2), .seconds(10), .seconds(30)][random.index(below: 3)]
    }
}
