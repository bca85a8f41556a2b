import Base
import Testing

@testable import Simulator

@Suite struct PartsTests {
    @Test func `events come by time, and those of one instant in the order in which they were put in`() {
        var queue = EventQueue(), random = Random(Seed(1))
        var expected: [(UInt64, Int32)] = []
        for index in 0..<2000 {
            let time = random.next(below: 100)
            expected.append((time, Int32(index)))
            queue.push(.start(machine: Int32(index)), at: Instant(nanoseconds: time))
        }
        expected.sort { $0 < $1 }
        for (time, index) in expected {
            let next = queue.pop(notAfter: .distantFuture)
            #expect(next?.at == Instant(nanoseconds: time))
            if case .start(let machine) = next?.event {
                #expect(machine == index)
            } else {
                Issue.record("another event")
            }
        }
        #expect(queue.pop(notAfter: .distantFuture) == nil)
    }

    @Test func `no event comes before its time`() {
        var queue = EventQueue()
        queue.push(.junk, at: Instant(nanoseconds: 10))
        #expect(queue.pop(notAfter: Instant(nanoseconds: 9)) == nil)
        #expect(queue.pop(notAfter: Instant(nanoseconds: 10)) != nil)
    }

    private func network(_ change: (inout Scenario.NetworkOptions) -> Void) -> Network {
        var options = Scenario.NetworkOptions()
        change(&options)
        return Network(options, machines: 4, random: Random(Seed(7)))
    }

    private func arrivals(_ network: Network, count: Int, bytes: Int = 100) -> [Instant] {
        (0..<count).compactMap { _ in
            if case .arrives(let at, _) = network.carry(bytes, from: 1, to: 2, now: .origin) { at } else { nil }
        }
    }

    @Test func `loss takes its share, on each of the two lines`() {
        let arrived = arrivals(network { $0.loss = 1000 }, count: 10_000).count
        #expect((7900...8300).contains(arrived))
    }

    @Test func `a line of limited rate spreads datagrams out, and drops what its queue cannot hold`() {
        let network = network {
            $0.rate = 12_800
            $0.queueBytes = 12_800
        }
        let times = arrivals(network, count: 200)
        // 128 bytes with headers take 10 ms; a second of them is held back.
        #expect(times.count == 100)
        #expect(times[99] - times[0] == .milliseconds(990))
    }

    @Test func `a queue at a slow line does not delay datagrams of a fast one`() {
        let network = network {
            $0.latency = .zero
            $0.rate = 12_800
            $0.queueBytes = 12_800
        }
        network.broaden(0)
        // A second's worth waits at the line of 1, and all of it is on its way to 0.
        let waiting = (0..<100).compactMap { _ -> Instant? in
            if case .arrives(let at, _) = network.carry(100, from: 1, to: 0, now: .origin) { at } else { nil }
        }
        #expect(waiting.count == 100)
        // What 2 sends meanwhile is there before, and is taken in at once: 128 bytes at a hundredfold rate.
        guard case .arrives(let at, _) = network.carry(100, from: 2, to: 0, now: .origin) else {
            Issue.record("lost")
            return
        }
        #expect(at == .origin + .milliseconds(10))
        #expect(network.enqueue(100, at: 0, now: at) == at + .microseconds(100))
        #expect(waiting.compactMap { network.enqueue(100, at: 0, now: $0) }.count == 100)
    }

    @Test func `what comes to a line from all sides at once waits there, as far as its queue goes`() {
        let network = network {
            $0.rate = 12_800
            $0.queueBytes = 12_800
        }
        let through = (0..<200).compactMap { _ in network.enqueue(100, at: 2, now: .origin) }
        #expect(through.count == 100)
        #expect(through.last == .origin + .seconds(1))
    }

    @Test func `a partition in one direction lets the other through`() {
        let network = network { _ in }
        let id = network.part([false, true, false, false], out: true, in: false)
        #expect(network.isParted(1, 2))
        #expect(!network.isParted(2, 1))
        #expect(!network.isParted(2, 3))
        network.heal(id)
        #expect(!network.isParted(1, 2))
    }

    @Test func `an address belongs to a machine until it roams`() {
        let network = network { _ in }
        let before = network.address(of: 2)
        func machine(at address: SocketAddress) -> Int? {
            try? network.leave(1, to: address, count: 10, now: .origin).flatMap {
                network.arrive($0, count: 10, now: .origin)
            }.get().machine
        }
        #expect(machine(at: before) == 2)
        network.roam(2)
        #expect(machine(at: before) == nil)
        #expect(machine(at: network.address(of: 2)) == 2)
    }

    @Test func `half of all kinds of faults are switched off in a seed, and the other half differ`() {
        let scenarios = (1...400).map { Scenario(seed: $0, nodes: 20) }
        let without = scenarios.count { $0.faults.agentCrashes == 0 }
        #expect((120...280).contains(without))
        #expect(Set(scenarios.map(\.faults.agentCrashes)).count == 5)
        #expect(Set(scenarios.map(\.network.loss)).count == 6)
    }

    @Test func `a script survives being a command`() {
        var random = Random(Seed(3))
        for _ in 0..<200 {
            let script = WorkerScript.draw([1, 1, 1, 1, 1, 1, 1, 1], &random)
            let again = WorkerScript(command: script.command)
            #expect(again?.kind == script.kind)
            #expect(again?.status == script.status)
            #expect(again?.time.milliseconds == script.time.milliseconds)
        }
        #expect(WorkerScript(command: ["/bin/sh", "-c", "true"]) == nil)
    }
}
