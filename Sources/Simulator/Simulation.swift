import Base
import Control
import Wire

/// # A fleet in virtual time
///
/// The simulator is the other shell: it drives the very values that the daemons drive, `Agent` and `Controller`, with
/// their real cryptography, and it is the clock, the network, the disks, the workers and the operators. Time is a heap of
/// future events; between two of them nothing happens, so a minute of a hundred nodes takes a second or so.
///
/// A run has two parts. In the first everything breaks as the scenario says, and the checkers watch for what may never
/// happen. Then all faults are healed, and the fleet must come to rest: what must be so in the end has a bounded time to
/// become so.
///
/// One seed is one run: every choice comes from generators that unfold from the seed, and nothing here reads a clock, an
/// environment or the order of a hash table.
///
/// - `Simulation+Programs.swift` starts, wakes, crashes and flushes programs.
/// - `Simulation+Network.swift` carries datagrams, and lets strangers send theirs.
/// - `Simulation+Faults.swift` makes and heals faults.
/// - `Simulation+Operators.swift` gives commands.
/// - `Simulation+Overlay.swift` wants overlay addresses.
/// - `Simulation+Survey.swift` holds what is said against what is.
package final class Simulation {
    package let scenario: Scenario
    package internal(set) var timeline: Timeline
    package internal(set) var findings: [Finding] = []
    package internal(set) var counts = Counts()

    /// What a run did, for people to see that it did something.
    package struct Counts: Sendable {
        package var events = 0
        package var datagrams = 0
        package var lost = 0
        package var crashes = 0
        package var faults = 0
        package var commands = 0
        package var replies = 0
        package var refusals = 0
        package var processes = 0
        package var looks = 0
        package var wishes = 0
        package var dropped = 0
    }

    var now = Instant(nanoseconds: 1_000_000_000)
    var queue = EventQueue()
    let network: Network
    var tcp = TCPLinks()
    let pool = DatagramPool()
    var machines: [Machine]
    var checkers: [any Checker]
    var random: Random
    var plan: [PlannedFault] = []
    var commandPlan: [PlannedCommand] = []
    var operators: Operators
    var isHealed = false
    let safetyEnd: Instant
    var batch = DatagramBatch()
    var effects: [Effect] = []
    /// Overheard datagrams, for strangers to play again.
    var overheard: [[UInt8]] = []
    var surveyReplies: [Result<ControllerReply, APIError>] = []
    var pairs: [Pair] = []
    var wishRandom: Random
    var wishPairs: [WishPair] = []
    var packetsSent: UInt64 = 0
    /// Told of each packet that comes out of the overlay, with its number and the machine, where somebody wants that.
    var onPacket: ((UInt64, Int) -> Void)?
    let fleet: FleetID

    package init(_ scenario: Scenario, watcher: ((String) -> Void)? = nil) {
        self.scenario = scenario
        timeline = Timeline(watcher: watcher)
        // Another stream than the one the scenario was drawn from.
        var random = Random(Seed(scenario.seed ^ 0x5bd1_e995_a5a5_5a5a))
        let count = scenario.nodes + scenario.operators.intruders + 1
        network = Network(
            scenario.network, machines: count, sites: scenario.sites, seed: scenario.seed, random: random.split())
        machines = []
        for index in [0] + (scenario.nodes - scenario.beacons + 1..<scenario.nodes + 1) { network.broaden(index) }
        for index in 0..<count {
            let seed = Seed(random.next(), random.next(), random.next(), random.next())
            let age = Interval.seconds(Int64(random.next(below: 1)))
            machines.append(Machine(index: index, seed: seed, bootedAt: now - age, mutation: scenario.mutation))
            if index > scenario.nodes { machines[index].isWelcome = false }
        }
        checkers = [
            LaunchChecker(), OverlapChecker(), KillChecker(), ExitChecker(), RegistryChecker(),
            DetectionChecker(nodes: scenario.nodes), SpinChecker(), MemoryChecker(), ReachChecker(), AnswerChecker(),
            OverlayChecker(),
        ]
        wishRandom = Random(Seed(scenario.seed ^ 0x2545_f491_4f6c_dd1d))
        fleet = ControllerProcess.fleet(machines[0])
        operators = Operators(random.split())
        self.random = random
        safetyEnd = now + scenario.safety
    }

    /// Runs to the end; the findings say what was wrong.
    package func run() {
        begin()
        advance(to: safetyEnd)
        if !hasFailed {
            heal()
            settle()
        }
        counts.processes = machines.reduce(0) { $0 + $1.host.processes.count }
    }

    var hasFailed: Bool { !findings.isEmpty }

    func begin() {
        planFaults()
        planWishes()
        queue.push(.start(machine: 0), at: now)
        if scenario.network.strangers > 0 { queue.push(.stranger, at: now + .seconds(1)) }
        queue.push(.look(index: 0), at: now + Simulation.lookEvery)
    }

    static let lookEvery = Interval.milliseconds(2500)

    /// Lets everything happen that happens until `end`, or until something is found wrong.
    func advance(to end: Instant) {
        while !hasFailed, let (at, event) = queue.pop(notAfter: end) {
            now = max(now, at)
            counts.events += 1
            happen(event)
        }
        if !hasFailed { now = max(now, end) }
    }

    private func happen(_ event: Event) {
        switch event {
        case .arrival(let datagram): arrived(datagram)
        case .line(let datagram, let machine): takeIn(datagram, at: Int(machine))
        case .delivery(let datagram, let machine): reached(datagram, machines[Int(machine)])
        case .connectionLost(let machine, let server):
            connectionIsLost(machines[Int(machine)], to: machines[Int(server)])
        case .wake(let machine): woke(machines[Int(machine)])
        case .process(let machine, let process, let step): stepped(machines[Int(machine)], Int(process), step)
        case .written(let machine, let life): written(machines[Int(machine)], life)
        case .told(let machine, let life, _): told(machines[Int(machine)], life)
        case .start(let machine): start(machines[Int(machine)])
        case .fault(let index): faultDue(Int(index))
        case .command(let index): commandDue(Int(index))
        case .patience(let command, let attempt): patienceOver(Int(command), Int(attempt))
        case .resume(let machine): resumed(machines[Int(machine)])
        case .stranger: strangerComes()
        case .look(let index): look(Int(index))
        case .wish: wishDue()
        }
    }

    /// Tells the checkers, and keeps what they find.
    func note(_ fact: Fact) {
        for checker in checkers {
            for text in checker.observe(fact, now: now) {
                findings.append(Finding(checker: checker.name, kind: .correctness, at: now, text: text))
            }
        }
    }
}
