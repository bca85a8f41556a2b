import Base
import Control
import Wire

/// # A fleet in virtual time
///
/// The simulator is the other shell: it drives the same values that the daemons drive, `Agent` and `Controller`, with their
/// real cryptography. It simulates the clock, the network, the disks, the workers and the operators. Time is a heap of future
/// events; between two of them nothing happens, so a minute of a hundred nodes takes about a second.
///
/// A run has two parts. In the first, faults happen as the scenario states, and the checkers watch for what must never
/// happen. Then all faults are healed, and the fleet must settle: it has a bounded time to reach its required final state.
///
/// One seed is one run: every choice comes from generators that are derived from the seed, and nothing here reads a clock, an
/// environment or the order of a hash table.
///
/// The simulation is time, the machines and the network between them. It is composed of parts, each with its own state:
///
/// - `ProgramRunner` starts, wakes, crashes and flushes programs.
/// - `DatagramTraffic` carries datagrams; `OutsideTraffic` adds what does not belong to the fleet.
/// - `FaultInjector` makes faults.
/// - `Operators` give commands.
/// - `OverlayTraffic` sends to overlay addresses.
/// - `SnapshotTaker` compares reports with the true state, and lets pairs of nodes exchange pings.
///
/// All draws from `random` are made in the order of events: a change of that order changes what a seed stands for.
package final class Simulation {
    package let scenario: Scenario
    package private(set) var timeline: Timeline
    package private(set) var findings: [Finding] = []
    package internal(set) var counts = Counts()

    /// What a run did, so that people see how much.
    package struct Counts: Sendable {
        package internal(set) var events = 0
        package internal(set) var datagrams = 0
        package internal(set) var lost = 0
        package internal(set) var crashes = 0
        package internal(set) var faults = 0
        package internal(set) var commands = 0
        package internal(set) var replies = 0
        package internal(set) var refusals = 0
        package internal(set) var processes = 0
        package internal(set) var looks = 0
        package internal(set) var overlayRequests = 0
    }

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var queue = EventQueue()
    let network: Network
    let machines: [Machine]
    let fleet: FleetID
    private let checkers: [any Checker]
    /// Draws what concerns the fleet as a whole.
    var random: Random
    private let operatorsRandom: Random
    /// The second part of the run has begun.
    private(set) var isHealed = false
    /// When the first part ends.
    let safetyEnd: Instant

    private(set) lazy var programs = ProgramRunner(of: self)
    private(set) lazy var traffic = DatagramTraffic(of: self)
    private(set) lazy var outside = OutsideTraffic(of: self)
    private(set) lazy var faults = FaultInjector(of: self)
    private(set) lazy var operators = Operators(of: self, random: operatorsRandom)
    private(set) lazy var overlay = OverlayTraffic(of: self)
    private(set) lazy var snapshots = SnapshotTaker(of: self)

    package convenience init(_ scenario: Scenario, watcher: ((String) -> Void)? = nil) {
        let checkers: [any Checker] = [
            LaunchChecker(), OverlapChecker(), KillChecker(), ExitChecker(), RegistryChecker(),
            DetectionChecker(nodes: scenario.nodes), SpinChecker(), MemoryChecker(), ReachChecker(), AnswerChecker(),
            OverlayChecker(),
        ]
        self.init(scenario, checkers: checkers, watcher: watcher)
    }

    init(_ scenario: Scenario, checkers: [any Checker], watcher: ((String) -> Void)? = nil) {
        self.scenario = scenario
        self.checkers = checkers
        timeline = Timeline(watcher: watcher)
        // A different stream from the one that the scenario was drawn from.
        var random = Random(Seed(scenario.seed ^ 0x5bd1_e995_a5a5_5a5a))
        let count = scenario.nodes + scenario.operators.intruders + 1
        network = Network(
            scenario.network, machines: count, sites: scenario.sites, seed: scenario.seed, random: random.split())
        for index in [0] + (scenario.nodes - scenario.beacons + 1..<scenario.nodes + 1) { network.broaden(index) }
        var machines: [Machine] = []
        for index in 0..<count {
            let seed = Seed(random.next(), random.next(), random.next(), random.next())
            let age = Interval.seconds(Int64(random.next(below: 1)))
            machines.append(
                Machine(
                    index: index, seed: seed, bootedAt: now - age, isWelcome: index <= scenario.nodes,
                    mutation: scenario.mutation))
        }
        self.machines = machines
        fleet = ControllerProcess.fleet(machines[0])
        operatorsRandom = random.split()
        self.random = random
        safetyEnd = now + scenario.safety
    }

    // MARK: - A run

    /// Runs to the end; the findings state what was wrong.
    package func run() {
        begin()
        advance(to: safetyEnd)
        if !hasFailed {
            heal()
            snapshots.settle()
        }
        counts.processes = machines.reduce(0) { $0 + $1.host.processes.count }
    }

    var hasFailed: Bool { !findings.isEmpty }

    func begin() {
        faults.begin()
        overlay.begin()
        schedule(.start(machine: 0), at: now)
        outside.begin()
        snapshots.begin()
    }

    /// The end of all faults.
    private func heal() {
        isHealed = true
        record(.healed, -1)
        network.healAll()
        if scenario.mutation == .neverHeals {
            var inside = [Bool](repeating: false, count: machines.count)
            inside[1] = true
            _ = network.part(inside, out: true, in: true)
        }
        for machine in machines {
            programs.endPause(of: machine)
            if machine.program == nil, !machine.isRetired, machine.index == 0 || machine.token != nil {
                schedule(.start(machine: Int32(machine.index)), at: now + .milliseconds(Int64(machine.index % 50)))
            }
        }
        updateAllSilences()
    }

    // MARK: - Time

    /// Executes all events until `end`, or until a checker finds a fault.
    func advance(to end: Instant) {
        while !hasFailed, let (at, event) = queue.pop(notAfter: end) {
            now = max(now, at)
            counts.events += 1
            happen(event)
        }
        if !hasFailed { now = max(now, end) }
    }

    func schedule(_ event: Event, at time: Instant) { queue.push(event, at: time) }

    private func happen(_ event: Event) {
        switch event {
        case .arrival(let datagram): traffic.arrived(datagram)
        case .line(let datagram, let machine): traffic.enqueue(datagram, at: Int(machine))
        case .delivery(let datagram, let machine): traffic.reached(datagram, machines[Int(machine)])
        case .connectionLost(let machine, let server):
            traffic.connectionIsLost(machines[Int(machine)], to: machines[Int(server)])
        case .wake(let machine): programs.wake(machines[Int(machine)])
        case .process(let machine, let process, let step): programs.step(machines[Int(machine)], Int(process), step)
        case .written(let machine, let life): programs.written(machines[Int(machine)], life)
        case .informed(let machine, let life, _): programs.deliverMessage(machines[Int(machine)], life)
        case .start(let machine): programs.start(machines[Int(machine)])
        case .fault(let index): faults.happen(Int(index))
        case .command(let index): operators.command(Int(index))
        case .patience(let command, let attempt): operators.askAgain(Int(command), Int(attempt))
        case .resume(let machine): programs.resume(machines[Int(machine)])
        case .junk: outside.sendOne()
        case .look(let index): snapshots.look(Int(index))
        case .overlayRequest: overlay.requestAny()
        }
    }

    /// How many events of a rate in a minute fall into the part with faults.
    func draws(_ rate: Int64) -> Int64 {
        let parts = UInt64(rate * scenario.safety.milliseconds)
        return Int64(parts / 60_000) + (random.chance(parts % 60_000, in: 60_000) ? 1 : 0)
    }

    // MARK: - What is seen

    /// Adds a line to the timeline.
    func record(
        _ kind: Timeline.Kind, _ machine: Int, _ a: UInt64 = 0, _ b: UInt64 = 0, _ text: @autoclosure () -> String = ""
    ) {
        timeline.record(kind, machine, at: now, a, b, text())
    }

    func record(_ kind: Timeline.Kind, _ machine: Int, note text: String) {
        timeline.record(kind, machine, at: now, note: text)
    }

    /// Passes a fact to the checkers, and keeps their findings.
    func note(_ fact: Fact) {
        for checker in checkers {
            for text in checker.observe(fact, now: now) {
                findings.append(Finding(checker: checker.name, kind: .correctness, at: now, text: text))
            }
        }
    }

    /// What is not yet in its required final state, by checker.
    func complaints(_ snapshot: FleetSnapshot) -> [(checker: String, text: String)] {
        checkers.flatMap { checker in checker.unsettled(snapshot, now: now).map { (checker.name, $0) } }
    }

    /// The time to settle is over, and these things are not in their required state.
    func fail(_ complaints: ArraySlice<(checker: String, text: String)>) {
        for (checker, text) in complaints {
            findings.append(Finding(checker: checker, kind: .liveness, at: now, text: text))
        }
    }

    /// Updates whether datagrams can pass between the controller and the machine, in both directions.
    func updateSilence(of machine: Machine) {
        let isParted = machine.index > 0 && network.isParted(machine.index, 0)
        let isSilent = !machine.isUp || isParted
        guard isSilent != machine.isSilenced else { return }
        machine.setSilenced(isSilent)
        note(isSilent ? .silenced(machine: machine.index) : .receivedAgain(machine: machine.index))
    }

    func updateAllSilences() { for machine in machines { updateSilence(of: machine) } }
}

extension Random {
    mutating func time(from start: Instant, to end: Instant) -> Instant {
        start + interval(in: .zero...max(.zero, end - start))
    }
}
