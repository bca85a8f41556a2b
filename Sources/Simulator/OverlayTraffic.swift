import Base
import Control
import Mesh
import Noise
import Wire

/// # Packets without a session
///
/// Programs on the machines send to overlay addresses of other nodes, and to unused ones, and agents make the sessions. In
/// the end some pairs of nodes must have reached each other.
final class OverlayTraffic {
    /// A node that has packets for another one's overlay address.
    private struct Pair {
        let from: Int
        let to: Int
        let usesIPv4: Bool
        var isReached = false
        /// A packet has come through.
        var isServed = false

        init(from: Int, to: Int, usesIPv4: Bool) {
            self.from = from
            self.to = to
            self.usesIPv4 = usesIPv4
        }
    }

    private unowned let simulation: Simulation
    /// A generator of its own, so that requests do not shift the faults.
    private var random: Random
    private var pairs: [Pair] = []
    private(set) var packetsSent: UInt64 = 0
    /// Called for each packet that comes out of the overlay, with its number and the machine; `nil` where that is not needed.
    var onPacket: ((UInt64, Int) -> Void)?

    init(of simulation: Simulation) {
        self.simulation = simulation
        random = Random(Seed(simulation.scenario.seed ^ 0x2545_f491_4f6c_dd1d))
    }

    private var now: Instant { simulation.now }
    private var scenario: Scenario { simulation.scenario }
    private var machines: [Machine] { simulation.machines }

    func begin() {
        let count = scenario.operators.overlayRequests * scenario.safety.milliseconds / 60_000
        for _ in 0..<count {
            simulation.schedule(.overlayRequest, at: random.time(from: now + .seconds(1), to: simulation.safetyEnd))
        }
    }

    /// A program somewhere sends to an overlay address.
    func requestAny() {
        guard !simulation.isHealed else { return }
        let machine = machines[1 + random.index(below: scenario.nodes)]
        let to = random.index(below: scenario.nodes + 1)
        let usesIPv4 = random.chance(1, in: 2)
        guard !random.chance(1, in: 8) else {
            return request(nobodysAddress(isIPv4: usesIPv4), isNobodys: true, on: machine)
        }
        if to != machine.index { request(address(of: machines[to], usesIPv4), isNobodys: false, on: machine) }
    }

    private func nobodysAddress(isIPv4: Bool) -> IPAddress {
        // Beyond all addresses that a fleet of this size gets, and a key that no node has.
        if isIPv4 { return .v4(0x647f_0000 + UInt32(random.next(below: 1 << 15))) }
        guard case .v6(let high, _) = OverlayAddress.prefix6(of: simulation.fleet) else { return .any6 }
        return .v6(high: high, low: random.next())
    }

    private func request(_ address: IPAddress, isNobodys: Bool, on machine: Machine) {
        guard machine.isUp, let agent = machine.agent else { return }
        // An answer that waits for the disk counts as an answer: this would be another request.
        let isAnswered = machine.disk.hasWaiting { effect in
            if case .requestEnded(address, _) = effect { true } else { false }
        }
        guard !isAnswered else { return }
        simulation.counts.overlayRequests += 1
        simulation.record(.overlayRequested, machine.index, 0, 0, "\(address)")
        simulation.note(.overlay(machine: machine.index, .overlayRequested(address, isNobodys: isNobodys)))
        agent.handle(.overlayRequested(address), now: machine.local(now))
        simulation.programs.flush(machine)
    }

    /// The address in the machine's certificate; without a certificate IPv6, which needs none.
    private func address(of machine: Machine, _ usesIPv4: Bool) -> IPAddress {
        let v6 = OverlayAddress.v6(of: machine.nodeID, fleet: simulation.fleet)
        guard usesIPv4 else { return v6 }
        if machine.index == 0 { return OverlayPool(OverlayPool.defaultNetwork).controller }
        return certifiedAddress(of: machine) ?? v6
    }

    func certifiedAddress(of machine: Machine) -> IPAddress? {
        guard let bytes = machine.disk.membership, let record = try? MembershipRecord(decoding: bytes),
            let signed = try? SignedCertificate(decoding: record.admission.certificate),
            !signed.certificate.overlay4.isUnspecified
        else { return nil }
        return signed.certificate.overlay4
    }

    /// An agent has reported the result of a request; without a failure the address can be reached.
    func handleEnd(_ machine: Machine, _ address: IPAddress, _ failure: OverlayFailure?) {
        simulation.record(failure == nil ? .reached : .notReached, machine.index, 0, 0, "\(address)")
        simulation.note(.overlay(machine: machine.index, .ended(address, failure)))
        guard failure == nil, onPacket == nil else { return }
        send(from: machine, to: address)
        for index in pairs.indices where pairs[index].from == machine.index {
            let to = machines[pairs[index].to]
            if [self.address(of: to, true), self.address(of: to, false)].contains(address) {
                pairs[index].isReached = true
            }
        }
    }

    // MARK: - Packets

    /// A datagram of UDP between the overlay addresses of two machines, with its own number and bytes that follow from it, so
    /// that its receiver can check it.
    private func packet(_ number: UInt64, from: IPAddress, to: IPAddress) -> [UInt8] {
        let fill = (0..<64).map { UInt8(truncatingIfNeeded: number &* 31 &+ UInt64($0)) }
        let payload = (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) } + fill
        let length = UInt16(8 + payload.count)
        let udp: [UInt8] = [0, 7, 0, 9, UInt8(length >> 8), UInt8(length & 255), 0, 0] + payload
        let size = UInt16(20 + udp.count)
        if from.isIPv4 {
            let fixed: [UInt8] = [0x45, 0, UInt8(size >> 8), UInt8(size & 255), 0, 0, 0x40, 0, 64, 17, 0, 0]
            return fixed + from.bytes + to.bytes + udp
        }
        return [0x60, 0, 0, 0, UInt8(length >> 8), UInt8(length & 255), 17, 64] + from.bytes + to.bytes + udp
    }

    /// A packet between two nodes; its number.
    func send(from machine: Machine, to owner: Machine) -> UInt64 {
        send(from: machine, to: address(of: owner, false))
        return packetsSent
    }

    private func send(from machine: Machine, to address: IPAddress) {
        guard let owner = machines.first(where: { self.address(of: $0, address.isIPv4) == address }), owner.index > 0,
            machine.isUp, let agent = machine.agent
        else { return }
        let source = self.address(of: machine, address.isIPv4)
        guard source.isIPv4 == address.isIPv4 else { return }
        packetsSent += 1
        simulation.record(.packetSent, machine.index, packetsSent, UInt64(owner.index))
        simulation.note(.overlay(machine: machine.index, .packetSent(packetsSent, to: owner.index)))
        agent.submit(packet(packetsSent, from: source, to: address), now: machine.local(now))
        simulation.programs.flush(machine)
    }

    func handlePacket(_ bytes: [UInt8], to machine: Machine) {
        let start = bytes.first.map { $0 >> 4 == 4 ? 28 : 48 } ?? 0
        var number: UInt64?
        if bytes.count >= start + 8 {
            let claimed = bytes[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let isIPv4 = start == 28
            let ends = stride(from: isIPv4 ? 12 : 8, to: isIPv4 ? 20 : 40, by: isIPv4 ? 4 : 16).compactMap {
                IPAddress(bytes: bytes[$0..<$0 + (isIPv4 ? 4 : 16)])
            }
            if ends.count == 2, packet(claimed, from: ends[0], to: ends[1]) == bytes { number = claimed }
            for index in pairs.indices where pairs[index].to == machine.index && ends.count == 2 {
                let from = machines[pairs[index].from]
                if ends[0] == address(of: from, isIPv4) { pairs[index].isServed = true }
            }
        }
        simulation.record(.packetCame, machine.index, number ?? 0)
        if let number { onPacket?(number, machine.index) }
        simulation.note(.overlay(machine: machine.index, .packetCame(number)))
    }

    // MARK: - In the end

    func choosePairs() {
        let all = (1...scenario.nodes).filter { !machines[$0].isRetired }
        guard all.count > 1 else { return }
        for _ in 0..<scenario.operators.pings {
            let from = all[random.index(below: all.count)], to = (all + [0])[random.index(below: all.count + 1)]
            guard from != to else { continue }
            pairs.append(Pair(from: from, to: to, usesIPv4: random.chance(1, in: 2)))
        }
    }

    /// For each pair, whether the one has reached the other.
    var reached: [(from: Int, to: Int, isReached: Bool)] {
        pairs.map { (from: $0.from, to: $0.to, isReached: $0.isReached && ($0.isServed || $0.to == 0)) }
    }

    func askPairs() {
        for index in pairs.indices where !(pairs[index].isReached && pairs[index].isServed) {
            let pair = pairs[index]
            request(address(of: machines[pair.to], pair.usesIPv4), isNobodys: false, on: machines[pair.from])
        }
    }
}
