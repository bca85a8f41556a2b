import Base

/// # Lines between machines
///
/// Each machine has one line, up and down, and each datagram passes the sender's line and the receiver's. So the state is one
/// line per machine, however many pairs communicate. A datagram is, in this order: refused by a partition, lost, held back by
/// the rate of the sender's line (or dropped, if too much waits), delayed, perhaps reordered, perhaps duplicated, perhaps
/// with a bit flipped, and finally held back or dropped by the receiver's line. Each line accepts datagrams in the order of
/// their arrival, so that a queue at one line does not delay datagrams at another.
///
/// `Internet`, which holds the realms and gateways between machines, decides where a datagram goes.
///
/// A partition is a set of machines and a direction: datagrams from them do not get out, or datagrams from outside do not
/// reach them, or both. Several may be in force at once.
final class Network {
    struct Line {
        var distance = Interval.zero
        /// Has a hundred times the rate: the controller's, and a beacon's.
        var isBroad = false
        /// In the bad state of Gilbert and Elliott's model.
        var isBad = false
        var freeUp = Instant.origin
        var freeDown = Instant.origin
        var cloggedUntil = Instant.origin
        /// How often the machine has changed its address.
        var roamed: UInt32 = 0
        /// ... and the gateway next to it its own.
        var renumbered: UInt32 = 0
        /// Where the machine is, by family.
        var place4: Place?
        var place6: Place?
    }
    /// A machine's own address, in the realm that it is in.
    struct Place {
        var address: IPAddress
        var realm: Internet.RealmID
    }
    struct Partition {
        var id: Int
        var inside: [Bool]
        var blocksOut: Bool
        var blocksIn: Bool
    }
    enum Fate {
        case lost(Timeline.Kind)
        /// It reaches the receiver's line then, and once more at another time if it was duplicated.
        case arrives(Instant, again: Instant?)
    }

    private(set) var options: Scenario.NetworkOptions
    private(set) var lines: [Line]
    private(set) var partitions: [Partition] = []
    /// Pairs of machines between which nothing goes directly, in that direction.
    private var severed: [(from: Int, to: Int)] = []
    /// Realms of addresses and the gateways between them.
    private(set) var internet = Internet()
    private var random: Random
    private let seed: UInt64
    private var partitionsMade = 0

    static let port: UInt16 = 7950
    static let sockets: UInt16 = 4096

    init(
        _ options: Scenario.NetworkOptions, machines: Int, sites: [Scenario.Site] = [], seed: UInt64 = 0, random: Random
    ) {
        self.options = options
        self.seed = seed
        self.random = random
        lines = Array(repeating: Line(), count: machines)
        for index in lines.indices where options.spread > .zero {
            lines[index].distance = self.random.interval(in: .zero...options.spread)
        }
        for index in lines.indices { settle(index, index < sites.count ? sites[index] : Scenario.Site()) }
    }

    // MARK: - Places

    /// Puts a machine where its site is, behind gateways of its own.
    private func settle(_ machine: Int, _ site: Scenario.Site) {
        // A separate random stream, so that gateways do not change what happens to datagrams.
        var luck = Random(Seed(seed &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(machine) ^ 0x6e61_7473))
        if site.has4 {
            var realm = Internet.ipv4
            for (depth, behaviour) in site.gateways.reversed().enumerated() {
                let outside = depth == 0 ? 0xcb00_0000 + UInt32(machine) : 0x6440_0000 + UInt32(machine * 8 + depth)
                let gateway = NATGateway(behaviour, outside: .v4(outside), random: luck.split())
                realm = internet.addRealm(behind: gateway, in: realm, mtu: site.mtu)
            }
            let isHidden = site.gateways.contains { $0.isNAT }
            lines[machine].place4 = Place(address: address4(of: machine, isHidden: isHidden), realm: realm)
        }
        if site.has6 {
            var realm = Internet.ipv6
            if let firewall = site.firewall6 {
                let gateway = NATGateway(firewall, outside: .any6, random: luck.split())
                realm = internet.addRealm(behind: gateway, in: realm, mtu: site.mtu)
            }
            lines[machine].place6 = Place(address: address6(of: machine), realm: realm)
        }
        attach(machine)
    }

    private func attach(_ machine: Int) {
        for place in [lines[machine].place4, lines[machine].place6] {
            if let place { internet.attach(machine, at: place.address, in: place.realm) }
        }
    }

    /// 11.0.0.0 + index + 65536 times the number of changes, or behind a NAT 192.168.0.2 and on.
    private func address4(of machine: Int, isHidden: Bool) -> IPAddress {
        let roamed = lines[machine].roamed
        return .v4(isHidden ? 0xc0a8_0002 + roamed : 0x0b00_0000 + UInt32(machine) + roamed << 16)
    }
    private func address6(of machine: Int) -> IPAddress {
        .v6(high: 0x2001_0db8_0000_0000, low: UInt64(machine) | UInt64(lines[machine].roamed) << 16)
    }

    /// The machine's own addresses, at which it listens; IPv4 first.
    func addresses(of machine: Int) -> [SocketAddress] {
        [lines[machine].place4, lines[machine].place6].compactMap { $0 }.map {
            SocketAddress($0.address, Network.port)
        }
    }
    func address(of machine: Int) -> SocketAddress { addresses(of: machine)[0] }

    func roam(_ machine: Int) {
        for place in [lines[machine].place4, lines[machine].place6] {
            if let place { internet.detach(place.address, from: place.realm) }
        }
        lines[machine].roamed = (lines[machine].roamed + 1) & 0xff
        if var place = lines[machine].place4 {
            guard case .v4(let old) = place.address else { return }
            place.address = address4(of: machine, isHidden: old >> 16 == 0xc0a8)
            lines[machine].place4 = place
        }
        if var place = lines[machine].place6 {
            place.address = address6(of: machine)
            lines[machine].place6 = place
        }
        attach(machine)
    }

    /// Applies a fault to the gateway next to a machine; nothing where it is behind none.
    func changeGateway(of machine: Int, _ body: (inout NATGateway) -> Void) {
        if let place = lines[machine].place4 { internet.change(place.realm, body) }
    }
    /// The provider of the gateway next to a machine gives it another address; nothing where it translates none.
    func renumber(_ machine: Int) {
        guard let place = lines[machine].place4 else { return }
        lines[machine].renumbered = (lines[machine].renumbered + 1) & 15
        let number = lines[machine].renumbered << 18
        internet.change(place.realm) { gateway in
            guard gateway.behaviour.isNAT, case .v4(let old) = gateway.outside else { return }
            gateway.renumber(.v4(old & ~(15 << 18) | number))
        }
    }
    /// The gateways next to a machine block outgoing UDP, or restore their behaviour.
    func blockUDP(of machine: Int, _ isBlocked: Bool) {
        for place in [lines[machine].place4, lines[machine].place6] {
            if let place { internet.change(place.realm) { isBlocked ? $0.block() : $0.unblock() } }
        }
    }
    /// The machine that has a public address.
    func openHost(at ip: IPAddress) -> Int? {
        internet.host(at: ip, in: ip.isIPv4 ? Internet.ipv4 : Internet.ipv6)
    }
    /// The source address of a machine's connections as others see it; `nil` where it has none of that family.
    func outside(of machine: Int, isIPv4: Bool) -> IPAddress? {
        let place = isIPv4 ? lines[machine].place4 : lines[machine].place6
        return place.map { internet.outside(of: $0.realm) ?? $0.address }
    }
    func broaden(_ machine: Int) { lines[machine].isBroad = true }
    func setLoss(_ chance: UInt64) { options.loss = chance }
    func setMTU(of machine: Int, _ mtu: Int) {
        for place in [lines[machine].place4, lines[machine].place6] {
            if let place { internet.setMTU(of: place.realm, mtu) }
        }
    }

    /// A datagram's route up, through the gateways of its sender.
    func leave(_ machine: Int, by socket: UInt16 = 0, to remote: SocketAddress, count: Int, now: Instant) -> Result<
        Internet.Flight, Internet.Loss
    > {
        guard let place = remote.ip.isIPv4 ? lines[machine].place4 : lines[machine].place6 else {
            return .failure(.unreachable)
        }
        return internet.leave(
            place.realm, from: SocketAddress(place.address, Network.port + socket), to: remote, count: count, now: now)
    }
    func destination(of flight: Internet.Flight) -> Int? { internet.destination(of: flight) }

    /// Its route down: the machine, and which of its sockets.
    func arrive(
        _ flight: Internet.Flight, count: Int, now: Instant
    ) -> Result<(machine: Int, socket: UInt16), Internet.Loss> {
        internet.arrive(flight, count: count, now: now).flatMap { machine, at in
            // Sockets other than the first have the ports above its.
            guard at.port >= Network.port, at.port < Network.port + Network.sockets else {
                return .failure(.unreachable)
            }
            return .success((machine, at.port - Network.port))
        }
    }
    /// As a host in the same realm would reach it.
    func entry(of machine: Int, from remote: SocketAddress) -> Internet.Flight {
        // Each machine has at least one place.
        let place = (lines[machine].place4 ?? lines[machine].place6)!
        return Internet.Flight(realm: place.realm, from: remote, to: SocketAddress(place.address, Network.port))
    }

    func clog(_ machine: Int, until time: Instant) { lines[machine].cloggedUntil = time }

    func part(_ inside: [Bool], out: Bool, in inwards: Bool) -> Int {
        partitionsMade += 1
        partitions.append(Partition(id: partitionsMade, inside: inside, blocksOut: out, blocksIn: inwards))
        return partitionsMade
    }
    func heal(_ id: Int) { partitions.removeAll { $0.id == id } }

    /// No faults from now on; measured values stay.
    func healAll() {
        partitions = []
        severed = []
        options.loss = min(options.loss, 100)
        options.burst = 0
        options.corruption = 0
        for index in lines.indices {
            lines[index].cloggedUntil = .origin
            lines[index].isBad = false
            blockUDP(of: index, false)
        }
    }

    func sever(_ from: Int, _ to: Int) { severed.append((from, to)) }
    func reconnect(_ from: Int, _ to: Int) { severed.removeAll { $0 == (from, to) } }

    func isParted(_ from: Int, _ to: Int) -> Bool {
        for partition in partitions {
            let inside = (partition.inside[from], partition.inside[to])
            if inside.0 && !inside.1 && partition.blocksOut { return true }
            if !inside.0 && inside.1 && partition.blocksIn { return true }
        }
        return false
    }

    /// What happens to a datagram of `count` bytes between two machines, up to the receiver's line.
    /// `repair`: the maximum of its extra delay, for TCP, which retransmits lost data.
    func carry(_ count: Int, from: Int, to: Int, now: Instant, repair: Interval? = nil) -> Fate {
        if !partitions.isEmpty, isParted(from, to) { return .lost(.refusedByPartition) }
        if !severed.isEmpty, severed.contains(where: { $0.from == from && $0.to == to }) {
            return .lost(.refusedByPartition)
        }
        if isLost(from) || isLost(to) { return .lost(.lost) }
        guard let left = pass(count, through: &lines[from].freeUp, rate: rate(of: from), now) else {
            return .lost(.queueFull)
        }
        var at = left + delay(from, to, repair)
        at = max(at, max(lines[from].cloggedUntil, lines[to].cloggedUntil))
        let again = roll(options.duplication) ? at + delay(from, to, repair) : nil
        return .arrives(at, again: again)
    }

    /// Whether lines have a rate, so that datagrams must be queued (`enqueue`) when they arrive.
    var isLimited: Bool { options.rate > 0 }

    /// When a datagram that has come to the line of `machine` is through; `nil` if too much waits there.
    func enqueue(_ count: Int, at machine: Int, now: Instant) -> Instant? {
        pass(count, through: &lines[machine].freeDown, rate: rate(of: machine), now)
    }

    /// Flips one bit, if this datagram is to be corrupted.
    func corrupt(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard options.corruption > 0, !bytes.isEmpty, roll(options.corruption) else { return false }
        bytes[random.index(below: bytes.count)] ^= 1 << UInt8(random.next(below: 8))
        return true
    }

    private func roll(_ chance: UInt64) -> Bool { chance > 0 && random.chance(chance, in: 10_000) }

    private func isLost(_ machine: Int) -> Bool {
        if options.burst > 0 {
            // A bad state ends after 50 datagrams on average.
            if lines[machine].isBad ? random.chance(200, in: 10_000) : roll(options.burst) {
                lines[machine].isBad.toggle()
            }
            if lines[machine].isBad { return random.chance(1, in: 2) }
        }
        return roll(options.loss)
    }

    private func delay(_ from: Int, _ to: Int, _ repair: Interval?) -> Interval {
        var time = options.latency + lines[from].distance + lines[to].distance
        if options.jitter > .zero { time = time + random.interval(in: .zero...options.jitter) }
        guard roll(options.reordering) else { return time }
        let late = time * random.next(in: 2...10)
        return repair.map { min(late, time + $0) } ?? late
    }

    private func rate(of machine: Int) -> Int64 { lines[machine].isBroad ? options.rate * 100 : options.rate }

    /// When the last byte is through a line of limited rate; `nil` if the line's queue is full.
    private func pass(_ count: Int, through free: inout Instant, rate: Int64, _ now: Instant) -> Instant? {
        guard rate > 0 else { return now }
        // 28 bytes of IPv4 and UDP travel along.
        let time = Interval.nanoseconds(Int64(count + 28) * 1_000_000_000 / rate)
        let begin = max(now, free)
        guard begin - now < .nanoseconds(options.queueBytes * 1_000_000_000 / rate) else { return nil }
        free = begin + time
        return begin + time
    }
}
