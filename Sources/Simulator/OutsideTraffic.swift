import Base

/// Datagrams from outside of the fleet, without a session: noise, or what was overheard, whole or damaged.
final class OutsideTraffic {
    private static let overheardLimit = 64

    private unowned let simulation: Simulation
    /// Overheard datagrams, to be played again.
    private var overheard: [[UInt8]] = []

    init(of simulation: Simulation) { self.simulation = simulation }

    func begin() {
        if simulation.scenario.network.junkRate > 0 {
            simulation.schedule(.junk, at: simulation.now + .seconds(1))
        }
    }

    /// A datagram of the fleet passes.
    func overhear(_ bytes: UnsafeMutableRawBufferPointer) {
        if overheard.count < OutsideTraffic.overheardLimit {
            overheard.append([UInt8](bytes))
        } else if simulation.counts.datagrams % 97 == 0 {
            overheard[simulation.counts.datagrams / 97 % OutsideTraffic.overheardLimit] = [UInt8](bytes)
        }
    }

    func sendOne() {
        guard !simulation.isHealed else { return }
        let now = simulation.now, options = simulation.scenario.network
        let period = Interval.nanoseconds(1_000_000_000 / max(1, options.junkRate))
        simulation.schedule(.junk, at: now + simulation.random.jittered(period, percent: 50))
        var bytes = junk()
        if bytes.isEmpty { bytes = [0] }
        let target =
            simulation.random.chance(1, in: 2) ? 0 : simulation.random.index(below: simulation.machines.count)
        let from = SocketAddress(
            .v4(0xc000_0200 + UInt32(simulation.random.next(below: 250))),
            UInt16(simulation.random.next(in: 1...65_535)))
        simulation.record(.junk, target, UInt64(bytes.count))
        simulation.traffic.inject(
            bytes, on: simulation.network.entry(of: target, from: from), at: now + options.latency)
    }

    private func junk() -> [UInt8] {
        let kind = simulation.random.next(below: 5)
        if kind == 0 || overheard.isEmpty {
            let sizes = [1, 16, 32, 64, 148, 200, 1232, 1500, 65_535]
            let first = UInt8(simulation.random.next(below: 6))
            let size = sizes[simulation.random.index(below: sizes.count)]
            return [first] + (1..<max(2, size)).map { UInt8(($0 * 7) & 255) }
        }
        var bytes = overheard[simulation.random.index(below: overheard.count)]
        switch kind {
        case 1: bytes.removeLast(simulation.random.index(below: bytes.count))
        case 2:
            let place = simulation.random.index(below: bytes.count)
            bytes[place] ^= UInt8(1 + simulation.random.next(below: 255))
        case 3: bytes += [UInt8](repeating: 7, count: 1 + simulation.random.index(below: 64))
        default: break
        }
        return bytes
    }
}
