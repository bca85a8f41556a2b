import Base
import Control
import OrderedCollections
import Testing
import Wire

/// A controller's requests, and random events.
private struct Scenario {
    var machine: Machine
    var random: Random
    var desired = OrderedDictionary<String, DesiredWorker>()
    var generations = OrderedDictionary<String, UInt64>()
    var revision: UInt64 = 0
    /// All that was ever sent: a network may bring any of it again.
    var sent: [Desired] = []
    let mode: RestartPolicy.Mode?

    init(seed: UInt64, mode: RestartPolicy.Mode?) {
        machine = Machine(seed)
        random = Random(Seed(seed ^ 0xabcdef))
        self.mode = mode
        machine.start()
    }

    mutating func send(_ message: Desired) {
        sent.append(message)
        if !random.chance(1, in: 5) { _ = machine.apply(message) }
    }

    mutating func sendAll() {
        let message = Desired(revision: revision, upserts: Array(desired.values))
        sent.append(message)
        _ = machine.apply(message)
    }

    mutating func need() {
        let name = ["a", "b", "c", "d"][random.index(below: 4)]
        var upserts: [DesiredWorker] = [], removals: [String] = []
        let base = revision
        revision += 1
        switch random.index(below: 4) {
        case 0:
            desired[name] = nil
            removals = [name]
        case 1:
            guard var worker = desired[name] else { break }
            worker.run = false
            desired[name] = worker
            upserts = [worker]
        default:
            generations[name, default: 0] += 1
            var spec = WorkerSpec(command: ["x"])
            spec.restart.mode = mode ?? RestartPolicy.Mode.allCases[random.index(below: 3)]
            spec.restart.maxRestarts = 3
            let worker = DesiredWorker(
                WorkerRef(name, generation: generations[name]!), spec: spec, run: true, operation: "\(revision)")
            desired[name] = worker
            upserts = [worker]
        }
        send(Desired(revision: revision, baseRevision: base, upserts: upserts, removals: removals))
    }

    mutating func step() {
        switch random.index(below: 20) {
        case 0, 1: need()
        case 2: if !sent.isEmpty { _ = machine.apply(sent[random.index(below: sent.count)]) }
        case 3: sendAll()
        case 4...9: machine.act()
        case 10...13: machine.notify()
        case 14, 15: endOne()
        case 16: machine.wait(random.interval(in: .zero ... .seconds(30)))
        case 17: if machine.supervisor == nil { machine.start() }
        case 18:
            if random.chance(1, in: 8) { machine.reboot() } else { machine.kill() }
            if random.chance(1, in: 2) { machine.start() }
        default: machine.drain()
        }
    }

    private mutating func endOne() {
        let running = machine.shims.filter { $0.value.isRunning }.map(\.key)
        guard !running.isEmpty else { return }
        let ref = running[random.index(below: running.count)]
        let exit: WorkerExit? =
            switch random.index(below: 4) {
            case 0: nil
            case 1: WorkerExit(status: 1, signal: nil, at: machine.wall)
            default: WorkerExit(status: 0, signal: nil, at: machine.wall)
            }
        machine.end(ref, exit)
    }

    /// The faults stop; everything that is running ends with success; every message is received.
    mutating func settle() {
        if machine.supervisor == nil { machine.start() }
        for _ in 0..<40 {
            sendAll()
            machine.drain()
            for ref in machine.shims.keys where machine.shims[ref]!.isRunning && desired[ref.name]?.run == true {
                machine.end(ref, WorkerExit(status: 0, signal: nil, at: machine.wall))
            }
            machine.drain()
            machine.wait(.seconds(100))
            revision += 1
        }
        machine.drain()
    }
}

@Suite struct SupervisorPropertyTests {
    static let seeds: [UInt64] = Array(0..<100)

    @Test(arguments: seeds)
    func `whatever crashes, no two generations run at once and finished work never runs again`(seed: UInt64) {
        var scenario = Scenario(seed: seed, mode: nil)
        scenario.machine.failsLaunches = seed % 2 == 0
        for _ in 0..<400 {
            scenario.step()
            if !scenario.machine.violations.isEmpty { break }
        }
        #expect(scenario.machine.violations == [], "seed \(seed)")
    }

    @Test(arguments: seeds)
    func `without restarts, each requested generation runs exactly once and its true end is reported`(seed: UInt64)
        throws
    {
        var scenario = Scenario(seed: seed, mode: .never)
        for _ in 0..<300 { scenario.step() }
        scenario.settle()
        let machine = scenario.machine
        #expect(machine.violations == [], "seed \(seed)")
        for (ref, count) in machine.launches { #expect(count == 1, "\(ref), seed \(seed)") }
        let statuses = machine.supervisor!.statuses
        #expect(statuses.map(\.worker) == scenario.desired.values.map(\.worker).sorted(), "seed \(seed)")
        for worker in scenario.desired.values {
            let status = try #require(statuses.first { $0.worker == worker.worker })
            #expect(status.state.isFinal, "\(worker.worker) \(status.state), seed \(seed)")
            if worker.run {
                #expect(machine.launches[worker.worker] == 1, "\(worker.worker), seed \(seed)")
                #expect(status.lastExit == machine.shims[worker.worker]?.exit, "\(worker.worker), seed \(seed)")
            }
        }
        // Generations that are no longer desired have left nothing behind.
        #expect(machine.shims.keys.allSatisfy { ref in scenario.desired[ref.name]?.worker == ref }, "seed \(seed)")
    }

    @Test func `one seed gives one timeline`() {
        func run() -> [WorkerStatus] {
            var scenario = Scenario(seed: 77, mode: nil)
            for _ in 0..<400 { scenario.step() }
            return scenario.machine.supervisor?.statuses ?? []
        }
        #expect(run() == run())
    }
}
