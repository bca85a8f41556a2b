import Base
import Mesh
import Simulator
import Testing
import Wire

/// Two nodes at sites of every kind, and what happens to the path between them: the whole agent, over virtual gateways.
@Suite struct TrialTests {
    @Test(arguments: GridSite.allCases)
    func `against every kind of gateway data flows at once, and directly where that is possible`(_ site: GridSite) {
        let all = GridSite.allCases, own = all.firstIndex(of: site)!
        // Each pair once, begun by the one or the other; `asterism-sim --grid` has all of them, many times.
        for (index, other) in all.enumerated() where (index + own) % 2 == 0 ? index >= own : index < own {
            let family = GridFamily.allCases[(index * 3 + own) % 4]
            let (left, right) = family.sites(site, other)
            let reach = Reach(left, right)
            var trial = Trial(left, right, seed: UInt64(index + 1))
            trial.watch = .seconds(2)
            let outcome = trial.run()
            // The directory's answer (50 ms), and one and a half round trips over a relay (100 ms each).
            let first = outcome.firstPacket ?? .seconds(60)
            #expect(first <= .milliseconds(203), "\(family) \(site) \(other): \(first)")
            // Of the others not all has been tried yet.
            if reach == .direct || reach == .relayed {
                #expect(outcome.hasTrueReasons(left, right), "\(family) \(site) \(other): \(outcome.reasons)")
            }
            if reach == .direct {
                #expect(outcome.direct != nil, "\(family) \(site) \(other): \(outcome.log)")
            } else if reach == .relayed {
                #expect(outcome.direct == nil, "\(site) \(other): the oracle is wrong")
            }
            #expect(outcome.isConnectedAtEnd && outcome.findings.isEmpty, "\(site) \(other): \(outcome.findings)")
        }
    }

    /// Once all that can be tried was tried, the reason for a relay is the true one.
    @Test func `a relayed node states the true reason`() {
        let bothVary = Trial(GridSite.symmetricRandom.site, GridSite.doubleSymmetric.site, seed: 3)
        let spoilt = Trial(GridSite.masqueradeWithoutFirewall.site, GridSite.masqueradeWithoutFirewall.site, seed: 4)
        for (trial, reason) in [(bothVary, PathReport.RelayReason.bothMappingsDependent), (spoilt, .blocked)] {
            var trial = trial
            trial.watch = .seconds(14)
            let outcome = trial.run()
            #expect(outcome.leftPath?.isRelayed == true && outcome.reason == reason, "\(outcome.log)")
        }
        var failed = Trial(GridSite.fullCone.site, GridSite.fullCone.site, seed: 5)
        failed.watch = .seconds(2)
        failed.watchAfter = .seconds(3)
        failed.fault = .blackHole
        #expect(failed.run().reason == .failed)
    }

    /// Of 1280 bytes, 28 are headers of IPv4 and UDP.
    @Test(arguments: [(1280, 1252), (1124, 1096), (1500, 1472)])
    func `the size of datagrams is found without ICMP errors`(mtu: Int, bytes: Int) {
        var site = GridSite.portRestricted.site
        site.mtu = mtu
        var trial = Trial(site, GridSite.masquerade.site, seed: 9)
        trial.watch = .seconds(3)
        let outcome = trial.run()
        #expect(outcome.direct != nil && outcome.datagramBytes == bytes, "\(String(describing: outcome.datagramBytes))")
    }

    @Test func `a path that becomes narrow is detected within a second`() {
        for seed in 1...8 as ClosedRange<UInt64> {
            var trial = Trial(GridSite.portRestricted.site, GridSite.masquerade.site, seed: seed)
            trial.watch = .seconds(3) + .milliseconds(Int64(seed) * 41)
            trial.fault = .narrow
            trial.watchAfter = .seconds(5)
            let outcome = trial.run()
            #expect(outcome.datagramBytes == 1252, "\(String(describing: outcome.datagramBytes)) \(outcome.log)")
            // To the least size first, and to the right one a search later.
            #expect(outcome.sized.map { $0 <= .milliseconds(1100) } ?? false, "\(String(describing: outcome.sized))")
            #expect(outcome.switches == 0, "\(outcome.log)")
        }
    }

    private static let pairs: [(GridSite, GridSite)] = [
        (.portRestrictedRandom, .masquerade), (.symmetricRandom, .symmetricRandom), (.open, .fullCone),
        (.udpBlocked, .portRestricted),
    ]

    @Test(arguments: [
        Trial.Fault.blackHoleOneWay, .blackHole, .natReboot, .natRebinding, .addressChange, .relayCrash,
        .controllerCrash,
    ])
    func `data is back within a second, and little is lost`(_ fault: Trial.Fault) {
        for (a, b) in Self.pairs {
            for seed in 1...2 as ClosedRange<UInt64> {
                var trial = Trial(a.site, b.site, seed: seed)
                trial.watch = .seconds(2) + .milliseconds(Int64(seed) * 37)
                trial.watchAfter = .seconds(4)
                trial.fault = fault
                let outcome = trial.run()
                for gap in outcome.gaps {
                    #expect(gap.longest <= .milliseconds(400), "\(a) \(b) \(seed): \(gap) \(outcome.log)")
                    #expect(gap.lost <= 30, "\(a) \(b) \(seed): \(gap) \(outcome.log)")
                }
                #expect(outcome.isConnectedAtEnd && outcome.switches <= 8, "\(a) \(b) \(seed): \(outcome.log)")
            }
        }
    }

    @Test func `when a network begins to drop UDP, data goes on over TCP a second later`() {
        for (a, b) in Self.pairs.prefix(2) {
            for seed in 1...4 as ClosedRange<UInt64> {
                var trial = Trial(a.site, b.site, seed: seed)
                trial.watch = .seconds(2) + .milliseconds(Int64(seed) * 37)
                trial.watchAfter = .seconds(5)
                trial.fault = .udpBlock
                let outcome = trial.run()
                #expect(outcome.leftPath?.isTCP == true, "\(a) \(b) \(seed): \(outcome.log)")
                for gap in outcome.gaps {
                    #expect(gap.longest <= .milliseconds(1100), "\(a) \(b) \(seed): \(gap) \(outcome.log)")
                }
            }
        }
    }

    @Test(arguments: [Trial.Fault.loss, .stall])
    func `loss and a suspended process are no reason to change the path`(_ fault: Trial.Fault) {
        for (a, b) in Self.pairs {
            for seed in 1...2 as ClosedRange<UInt64> {
                var trial = Trial(a.site, b.site, seed: seed)
                trial.watch = .seconds(3)
                trial.watchAfter = .seconds(12)
                trial.fault = fault
                let outcome = trial.run()
                #expect(outcome.isConnectedAtEnd && outcome.switches <= 3, "\(a) \(b) \(seed): \(outcome.log)")
            }
        }
    }

    @Test func `a trial is the same each time`() {
        func log() -> [String] {
            var trial = Trial(GridSite.fullCone.site, GridSite.masquerade.site, seed: 7)
            trial.fault = .natRebinding
            return trial.run().log
        }
        let first = log()
        #expect(!first.isEmpty && first == log())
    }
}
