import Base
import Control
import Mesh
import Noise
import Wire

/// A node that has packets for another one's overlay address.
struct WishPair {
    var from: Int
    var to: Int
    var wantsIPv4: Bool
    var isReached = false
}

// Packets without a session: programs on the machines send to overlay addresses, of other nodes and of nobody.

extension Simulation {
    /// From a generator of its own, so that wishes do not shift the faults.
    func planWishes() {
        let count = scenario.operators.wishes * scenario.safety.milliseconds / 60_000
        for _ in 0..<count { queue.push(.wish, at: wishRandom.time(from: now + .seconds(1), to: safetyEnd)) }
    }

    func wishDue() {
        guard !isHealed else { return }
        let machine = machines[1 + wishRandom.index(below: scenario.nodes)]
        let to = wishRandom.index(below: scenario.nodes + 1)
        let wantsIPv4 = wishRandom.chance(1, in: 2)
        guard !wishRandom.chance(1, in: 8) else {
            return wish(nobodysAddress(isIPv4: wantsIPv4), isNobodys: true, on: machine)
        }
        if to != machine.index { wish(address(of: machines[to], wantsIPv4), isNobodys: false, on: machine) }
    }

    private func nobodysAddress(isIPv4: Bool) -> IPAddress {
        // Behind all that a fleet of this size is given, and a key that nobody has.
        if isIPv4 { return .v4(0x647f_0000 + UInt32(wishRandom.next(below: 1 << 15))) }
        guard case .v6(let high, _) = OverlayAddress.prefix6(of: fleet) else { return .any6 }
        return .v6(high: high, low: wishRandom.next())
    }

    private func wish(_ address: IPAddress, isNobodys: Bool, on machine: Machine) {
        guard machine.isUp, let agent = machine.program as? AgentProcess else { return }
        // An answer that waits for the disk is one: this would be another wish.
        let isAnswered = machine.waiting.contains { effect in
            if case .wishEnded(address, _) = effect { true } else { false }
        }
        guard !isAnswered else { return }
        counts.wishes += 1
        timeline.record(.wished, machine.index, at: now, 0, 0, "\(address)")
        note(.overlay(machine: machine.index, .wished(address, isNobodys: isNobodys)))
        agent.handle(.overlayWanted(address), now: machine.local(now))
        flush(machine)
    }

    /// As the machine's certificate has it; IPv6, which needs none, where there is none yet.
    private func address(of machine: Machine, _ wantsIPv4: Bool) -> IPAddress {
        let v6 = OverlayAddress.v6(of: machine.nodeID, fleet: fleet)
        guard wantsIPv4 else { return v6 }
        if machine.index == 0 { return OverlayPool(OverlayPool.defaultNetwork).controller }
        guard let bytes = machine.membership, let record = try? MembershipRecord(decoding: bytes),
            let signed = try? SignedCertificate(decoding: record.admission.certificate),
            !signed.certificate.overlay4.isUnspecified
        else { return v6 }
        return signed.certificate.overlay4
    }

    /// An agent has said what came of a wish; without a failure the address can be reached.
    func wishEnded(_ machine: Machine, _ address: IPAddress, _ failure: OverlayFailure?) {
        timeline.record(failure == nil ? .reached : .notReached, machine.index, at: now, 0, 0, "\(address)")
        note(.overlay(machine: machine.index, .ended(address, failure)))
        guard failure == nil else { return }
        for index in wishPairs.indices where wishPairs[index].from == machine.index {
            let to = machines[wishPairs[index].to]
            if [self.address(of: to, true), self.address(of: to, false)].contains(address) {
                wishPairs[index].isReached = true
            }
        }
    }

    // MARK: - In the end

    func chooseWishPairs() {
        let all = (1...scenario.nodes).filter { !machines[$0].isRetired }
        guard all.count > 1 else { return }
        for _ in 0..<scenario.operators.pings {
            let from = all[wishRandom.index(below: all.count)], to = (all + [0])[wishRandom.index(below: all.count + 1)]
            guard from != to else { continue }
            wishPairs.append(WishPair(from: from, to: to, wantsIPv4: wishRandom.chance(1, in: 2)))
        }
    }

    func askWishPairs() {
        for index in wishPairs.indices where !wishPairs[index].isReached {
            let pair = wishPairs[index]
            wish(address(of: machines[pair.to], pair.wantsIPv4), isNobodys: false, on: machines[pair.from])
        }
    }
}
