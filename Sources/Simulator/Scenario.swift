package import Base

/// # What a seed stands for
///
/// A scenario is everything about a run that is not the code under test: how bad the network is, what breaks and how often,
/// and what the operators do. It is drawn from the seed in the manner of swarm testing (Groce et al., "Swarm Testing", ISSTA
/// 2012): for each seed many kinds of faults are switched off, and the others have very different rates. A run in which
/// everything fails a little finds less than one in which two things fail often. All of it is printed with the seed. Chances
/// are in parts of 10,000, rates are events in a minute of virtual time.
package struct Scenario: Sendable {
    package var seed: UInt64
    package var nodes: Int
    /// The part with faults. The part without follows, until the fleet has settled or `settle` is over.
    package var safety = Interval.seconds(30)
    package var settle = Interval.seconds(150)
    package var network = NetworkOptions()
    package var faults = FaultOptions()
    package var host = HostOptions()
    package var operators = OperatorOptions()
    /// How many of the nodes, the last ones, are beacons.
    package var beacons = 0
    /// Whether the controller is a relay too.
    package var controllerIsRelay = true
    /// Whether tokens name the controller by a host name alone, which leads to wherever it is.
    package var controllerHasName = false
    package static let controllerName = HostPort("controller.fleet:\(Network.port)")!
    /// Where machines are, the controller's first; those without one have public addresses.
    package var sites: [Site] = []
    /// Of the nodes that are no beacons, those behind gateways.
    package var gatewayShare: UInt64 = 0
    /// A wrong behaviour of the simulated machine, which tests the checkers.
    package var mutation: Mutation?

    package struct NetworkOptions: Sendable {
        package var latency = Interval.milliseconds(1)
        /// Added to `latency`, drawn once for each node: how far it is from the others.
        package var spread = Interval.zero
        /// Added too, drawn for each datagram.
        package var jitter = Interval.zero
        package var loss: UInt64 = 0
        /// Chance to enter a bad state, in which half of everything is lost (Gilbert and Elliott's model).
        package var burst: UInt64 = 0
        package var duplication: UInt64 = 0
        /// Chance to take up to ten times as long.
        package var reordering: UInt64 = 0
        package var corruption: UInt64 = 0
        /// Bytes a second of each node's own line; 0 is a line without a limit. The controller and beacons have a hundred
        /// times that.
        package var rate: Int64 = 0
        /// What a line may hold back before it drops.
        package var queueBytes: Int64 = 64 << 10
        /// Datagrams of unauthenticated peers in a second: junk, truncations, repetitions of what was overheard.
        package var junkRate: Int64 = 0
    }

    /// What is between a machine and the Internet.
    package struct Site: Hashable, Sendable {
        /// NATs of IPv4, the one next to the machine first.
        package var gateways: [NATGateway.Behaviour] = []
        package var has4 = true
        package var has6 = false
        /// Before its IPv6, if there is one.
        package var firewall6: NATGateway.Behaviour?
        /// The largest IP packet that its gateways forward.
        package var mtu = 1500

        package init(_ gateways: [NATGateway.Behaviour] = []) { self.gateways = gateways }
    }

    package struct FaultOptions: Sendable {
        package var agentCrashes: Int64 = 0
        /// Reboots of the whole machine: its processes end, its disk stays.
        package var reboots: Int64 = 0
        package var pauses: Int64 = 0
        package var partitions: Int64 = 0
        package var oneWayPartitions: Int64 = 0
        package var clogs: Int64 = 0
        package var roams: Int64 = 0
        package var clockSteps: Int64 = 0
        /// How far a node's clock may be off after a step. The controller's goes ahead by a few minutes at most: otherwise an
        /// expired token would become valid again, or a valid one would expire.
        package var clockErrorMax = Interval.minutes(4)
        /// The controller gets another address. Without a name, no node finds it again.
        package var controllerMoves: Int64 = 0
        package var controllerCrashes: Int64 = 0
        package var controllerPauses: Int64 = 0
        package var departures: Int64 = 0
        package var gatewayReboots: Int64 = 0
        package var gatewayRebindings: Int64 = 0
        package var gatewayRenumberings: Int64 = 0
        package var udpBlocks: Int64 = 0
        package var udpBlockMax = Interval.seconds(10)
        /// Chance that a program dies between two of its effects.
        package var crashBetween: UInt64 = 0
        package var downTimeMax = Interval.seconds(10)
        package var pauseMax = Interval.seconds(6)
        package var partitionMax = Interval.seconds(12)
    }

    package struct HostOptions: Sendable {
        package var launchMax = Interval.milliseconds(20)
        package var reportDelayMax = Interval.milliseconds(10)
        package var writeMax = Interval.milliseconds(5)
        /// How late a program is woken after the time that it had requested.
        package var lateMax = Interval.milliseconds(1)
        /// Weights of the kinds of workers' scripts.
        package var scripts: [UInt64] = [1, 1, 1, 1, 1, 1, 1, 1]
    }

    package struct OperatorOptions: Sendable {
        package var commands: Int64 = 30
        /// Chance that a command is given once more, with the same operation.
        package var repetition: UInt64 = 0
        /// Chance of a command that names a node or a worker that does not exist.
        package var nonsense: UInt64 = 0
        package var names: Int = 20
        /// Nodes that come with an invalid token.
        package var intruders = 0
        /// All nodes start within this time.
        package var startWithin = Interval.seconds(3)
        package var pings: Int = 4
        /// Packets for overlay addresses, in a minute.
        package var overlayRequests: Int64 = 30
    }

    /// What a machine may be made to do wrong, to test that a checker finds it.
    package enum Mutation: String, Sendable, CaseIterable {
        /// Starts a second process for one launch.
        case startsTwice
        /// Ignores SIGKILL and reports that all are dead.
        case forgetsKills
        /// Reports another exit status than the true one.
        case changesExits
        /// Reports that a worker's end left no record, although it did.
        case losesExits
        /// Starts a finished worker again, without a command.
        case revives
        /// The agent's disk forgets what was written, and the files of workers that have ended.
        case forgetsRecords
        /// The controller's store forgets what was written.
        case controllerForgets
        /// The network of one node never heals.
        case neverHeals
    }
}

extension Scenario {
    package init(seed: UInt64, nodes: Int) {
        self.seed = seed
        self.nodes = nodes
        var random = Random(Seed(seed))
        draw(&random)
        // A separate generator, so that seeds keep the meaning that they had before there were requests.
        var other = Random(Seed(seed ^ 0x6f76_6572_6c61_7973))
        operators.overlayRequests = other.one(of: [10, 60, 300])
    }

    private mutating func draw(_ random: inout Random) {
        network.draw(&random)
        faults.draw(&random, nodes: nodes)
        host.draw(&random)
        operators.draw(&random, nodes: nodes)
    }
}

extension Random {
    /// Zero in half of all cases, else one of `values`.
    fileprivate mutating func sometimes<Value>(_ none: Value, _ values: [Value]) -> Value {
        chance(1, in: 2) ? none : values[index(below: values.count)]
    }
    fileprivate mutating func one<Value>(of values: [Value]) -> Value { values[index(below: values.count)] }
}

extension Scenario.NetworkOptions {
    fileprivate mutating func draw(_ random: inout Random) {
        latency = random.one(of: [.microseconds(50), .milliseconds(1), .milliseconds(10), .milliseconds(80)])
        spread = random.sometimes(.zero, [.milliseconds(5), .milliseconds(50), .milliseconds(120)])
        jitter = random.sometimes(.zero, [.microseconds(100), .milliseconds(3), .milliseconds(30)])
        loss = random.sometimes(0, [1, 10, 100, 500, 1500])
        burst = random.sometimes(0, [1, 10, 50])
        duplication = random.sometimes(0, [1, 50, 500, 2000])
        reordering = random.sometimes(0, [1, 50, 500, 2000])
        corruption = random.sometimes(0, [1, 10, 100])
        rate = random.sometimes(0, [30_000, 125_000, 1_250_000])
        queueBytes = random.one(of: [16 << 10, 64 << 10, 1 << 20])
        junkRate = random.sometimes(0, [1, 10, 50])
    }
}

extension Scenario.FaultOptions {
    fileprivate mutating func draw(_ random: inout Random, nodes: Int) {
        // Rates of the whole fleet that mean about the same for a small one and for a large one.
        let scale = Int64(max(4, nodes) / 4)
        agentCrashes = random.sometimes(0, [1, 2, 8, 40]) * scale
        reboots = random.sometimes(0, [1, 2, 8]) * scale
        pauses = random.sometimes(0, [1, 4, 16]) * scale
        partitions = random.sometimes(0, [1, 4, 12])
        oneWayPartitions = random.sometimes(0, [1, 4, 12])
        clogs = random.sometimes(0, [1, 4, 16]) * scale
        roams = random.sometimes(0, [1, 4, 16]) * scale
        clockSteps = random.sometimes(0, [1, 4]) * scale
        controllerCrashes = random.sometimes(0, [1, 2, 6, 12])
        controllerPauses = random.sometimes(0, [1, 4])
        departures = random.sometimes(0, [1, 2]) * scale
        crashBetween = random.sometimes(0, [2, 10, 50])
        downTimeMax = random.one(of: [.milliseconds(200), .seconds(3), .seconds(15)])
        pauseMax = random.one(of: [.milliseconds(500), .seconds(3), .seconds(20)])
        partitionMax = random.one(of: [.seconds(2), .seconds(8), .seconds(25)])
    }
}

extension Scenario.HostOptions {
    fileprivate mutating func draw(_ random: inout Random) {
        launchMax = random.one(of: [.milliseconds(1), .milliseconds(20), .milliseconds(2000)])
        reportDelayMax = random.one(of: [.microseconds(100), .milliseconds(10), .milliseconds(500)])
        writeMax = random.one(of: [.microseconds(50), .milliseconds(5), .milliseconds(200)])
        lateMax = random.one(of: [.microseconds(60), .milliseconds(1), .milliseconds(40)])
        scripts = WorkerScript.Kind.allCases.map { _ in random.sometimes(0, [1, 3, 10]) }
        if scripts.allSatisfy({ $0 == 0 }) { scripts[0] = 1 }
    }
}

extension Scenario.OperatorOptions {
    fileprivate mutating func draw(_ random: inout Random, nodes: Int) {
        commands = random.one(of: [10, 60, 240]) + Int64(nodes)
        repetition = random.sometimes(0, [300, 2000])
        nonsense = random.sometimes(0, [300, 1500])
        names = max(2, random.one(of: [4, nodes / 2, nodes * 3]))
        intruders = random.sometimes(0, [1, 2, 3])
        startWithin = random.one(of: [.zero, .milliseconds(500), .seconds(5)])
        pings = 2 + random.index(below: 6)
    }
}

extension Scenario: CustomStringConvertible {
    /// The whole scenario, an option a line, in an order that does not change.
    package var description: String {
        var lines = ["seed \(seed), \(nodes) nodes, \(safety) with faults, at most \(settle) to settle"]
        let n = network, f = faults, h = host, o = operators
        lines.append(
            "  network    latency \(n.latency) + \(n.spread) by node, jitter \(n.jitter), loss \(n.loss), "
                + "burst \(n.burst), duplication \(n.duplication), reordering \(n.reordering), "
                + "corruption \(n.corruption) (of 10000)")
        lines.append(
            "  lines      rate \(n.rate == 0 ? "unlimited" : "\(n.rate) B/s"), queue \(n.queueBytes) B, "
                + "junk \(n.junkRate)/s")
        lines.append(
            "  faults     a minute: agent crashes \(f.agentCrashes), reboots \(f.reboots), pauses \(f.pauses), "
                + "departures \(f.departures), clogs \(f.clogs), roams \(f.roams), clock steps \(f.clockSteps)")
        lines.append(
            "             partitions \(f.partitions), one-way \(f.oneWayPartitions), "
                + "controller crashes \(f.controllerCrashes), pauses \(f.controllerPauses); "
                + "crash between two actions \(f.crashBetween) (of 10000)")
        lines.append(
            "             at most: down \(f.downTimeMax), paused \(f.pauseMax), parted \(f.partitionMax)")
        lines.append(
            "  machines   launch \(h.launchMax), report \(h.reportDelayMax), write \(h.writeMax), late \(h.lateMax) "
                + "at most; lives "
                + zip(WorkerScript.Kind.allCases, h.scripts).map { "\($0) \($1)" }.joined(separator: ", "))
        lines.append(
            "  operators  \(o.commands) commands a minute on \(o.names) names, repeated \(o.repetition), "
                + "nonsense \(o.nonsense) (of 10000); intruders \(o.intruders), start within \(o.startWithin), "
                + "\(o.overlayRequests) overlay addresses requested a minute"
        )
        if let gatewayLine { lines.append(gatewayLine) }
        if let mutation { lines.append("  mutation   \(mutation.rawValue)") }
        return lines.joined(separator: "\n")
    }
}
