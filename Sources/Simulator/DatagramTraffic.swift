import Base
import Control
import Wire

/// # Datagrams in flight
///
/// A datagram leaves a program's outbox, passes the sender's gateways, the lines of both machines and the receiver's
/// gateways, and reaches a program. A datagram of a TCP socket goes over a connection (`TCPLinks`). `Network` decides the
/// route and the delay of a datagram; this type moves it and records it.
final class DatagramTraffic {
    private unowned let simulation: Simulation
    private let pool = DatagramPool()
    private var tcp = TCPLinks()
    private var batch = DatagramBatch()

    init(of simulation: Simulation) { self.simulation = simulation }

    // MARK: - Leaving

    /// Sends a datagram of a program's outbox.
    func send(_ batch: inout DatagramBatch, _ index: Int, from machine: Machine) {
        fly(pooled(&batch, index, from: machine), from: machine)
    }

    /// ... or waits until what the program wrote is durable.
    func holdBack(_ batch: inout DatagramBatch, _ index: Int, of machine: Machine) {
        machine.disk.wait(.datagram(pooled(&batch, index, from: machine)))
    }

    private func pooled(_ batch: inout DatagramBatch, _ index: Int, from machine: Machine) -> Int32 {
        // Its apparent source is known when it leaves.
        let remote = batch.entries[index].remote
        let flight = Internet.Flight(realm: Internet.ipv4, from: remote, to: remote)
        let slot = batch.withBytes(at: index) { bytes in
            pool.add(UnsafeRawBufferPointer(bytes), flight, sender: Int32(machine.index))
        }
        pool.setSocket(slot, batch.entries[index].socket)
        return slot
    }

    /// A datagram leaves its machine now.
    func fly(_ slot: Int32, from machine: Machine) {
        let simulation = simulation, network = simulation.network, now = simulation.now
        let bytes = pool.bytes(slot)
        simulation.counts.datagrams += 1
        simulation.record(.sent, machine.index, UInt64(bytes.count), pool.tail(slot))
        if simulation.scenario.network.junkRate > 0 { simulation.outside.overhear(bytes) }
        let remote = pool.slots[Int(slot)].flight.to
        if pool.slots[Int(slot)].socket >= PathAddress.tcpOut { return stream(slot, from: machine, to: remote) }
        guard
            case .success(let flight) = network.leave(
                machine.index, by: pool.slots[Int(slot)].socket, to: remote, count: bytes.count, now: now),
            let target = network.destination(of: flight)
        else { return lose(slot, .unreachable) }
        pool.send(slot, on: flight)
        switch network.carry(bytes.count, from: machine.index, to: target, now: now) {
        case .lost(let why): lose(slot, why)
        case .arrives(let time, let again):
            if let again {
                simulation.record(.duplicated, machine.index)
                approach(pool.copy(slot), target, at: again)
            }
            if network.corrupt(bytes) { simulation.record(.fault, machine.index) }
            approach(slot, target, at: time)
        }
    }

    /// A datagram from outside of the fleet reaches a machine's gateway at `time`.
    func inject(_ bytes: [UInt8], on flight: Internet.Flight, at time: Instant) {
        let slot = bytes.withUnsafeBytes { pool.add($0, flight, sender: -1) }
        simulation.schedule(.arrival(datagram: slot), at: time)
    }

    /// A datagram is not needed any more.
    func release(_ slot: Int32) { pool.release(slot) }

    private func lose(_ slot: Int32, _ why: Timeline.Kind) {
        simulation.counts.lost += 1
        simulation.record(why, Int(pool.slots[Int(slot)].sender))
        pool.release(slot)
    }

    // MARK: - Arriving

    /// Where lines have no rate, a datagram that has reached a line has arrived.
    private func approach(_ slot: Int32, _ target: Int, at time: Instant) {
        simulation.schedule(
            simulation.network.isLimited ? .line(datagram: slot, machine: Int32(target)) : arrival(slot, target),
            at: time)
    }

    private func arrival(_ slot: Int32, _ target: Int) -> Event {
        pool.slots[Int(slot)].socket < PathAddress.tcpOut
            ? .arrival(datagram: slot) : .delivery(datagram: slot, machine: Int32(target))
    }

    /// A datagram has come to the receiver's line.
    func enqueue(_ slot: Int32, at target: Int) {
        guard let time = simulation.network.enqueue(pool.slots[Int(slot)].count, at: target, now: simulation.now) else {
            return lose(slot, .queueFull)
        }
        simulation.schedule(arrival(slot, target), at: time)
    }

    /// A datagram has come to the receiver's gateways.
    func arrived(_ slot: Int32) {
        let count = pool.bytes(slot).count, flight = pool.slots[Int(slot)].flight
        guard case .success(let target) = simulation.network.arrive(flight, count: count, now: simulation.now) else {
            return lose(slot, .unreachable)
        }
        // From now on it holds the socket by which it came.
        pool.setSocket(slot, target.socket)
        reached(slot, simulation.machines[target.machine])
    }

    /// A datagram has come to a machine.
    func reached(_ slot: Int32, _ machine: Machine) {
        guard machine.program != nil else { return lose(slot, .unreachable) }
        guard machine.pause.until == nil else {
            if !machine.pause.hold(datagram: slot) { lose(slot, .queueFull) }
            return
        }
        deliver(slot, to: machine)
    }

    func deliver(_ slot: Int32, to machine: Machine) {
        guard let program = machine.program else { return pool.release(slot) }
        let now = simulation.now, sender = Int(pool.slots[Int(slot)].sender)
        simulation.record(.arrived, machine.index, UInt64(sender + 1))
        if machine.index == 0, sender > 0 { simulation.machines[sender].wasReceived(now) }
        let bytes = pool.bytes(slot)
        batch.append(
            reserving: bytes.count, remote: pool.slots[Int(slot)].flight.from, socket: pool.slots[Int(slot)].socket
        ) { buffer in
            buffer.copyMemory(from: UnsafeRawBufferPointer(bytes))
            return bytes.count
        }
        pool.release(slot)
        program.received(&batch, now: machine.local(now), wall: machine.wall(now))
        batch.removeAll()
        simulation.programs.flush(machine)
    }

    // MARK: - TCP

    private func stream(_ slot: Int32, from machine: Machine, to remote: SocketAddress) {
        let isUp = pool.slots[Int(slot)].socket == PathAddress.tcpOut
        let found = isUp ? tcp.index(client: machine.index, to: remote) : tcp.index(server: machine.index, from: remote)
        guard let index = found ?? (isUp ? openStream(from: machine, to: remote) : nil) else {
            return lose(slot, .unreachable)
        }
        let link = tcp[index], target = isUp ? link.server : link.client
        let bytes = pool.bytes(slot)
        let begin = max(simulation.now, link.openAt)
        var arrival: Instant
        switch simulation.network.carry(
            bytes.count, from: machine.index, to: target, now: begin, repair: TCPLinks.repair)
        {
        case .lost(.lost): arrival = begin + simulation.scenario.network.latency + TCPLinks.repair
        case .lost(let why): return lose(slot, why)
        case .arrives(let time, _): arrival = time
        }
        arrival = tcp.arrival(index, isUp: isUp, at: arrival)
        pool.send(slot, on: Internet.Flight(realm: Internet.ipv4, from: isUp ? link.from : link.to, to: remote))
        pool.setSocket(slot, isUp ? PathAddress.tcpIn : PathAddress.tcpOut)
        approach(slot, target, at: arrival)
    }

    private func openStream(from machine: Machine, to remote: SocketAddress) -> Int? {
        let network = simulation.network
        guard let server = network.openHost(at: remote.ip), remote.port == TCPLinks.port,
            let outside = network.outside(of: machine.index, isIPv4: remote.ip.isIPv4)
        else { return nil }
        let openAt = simulation.now + simulation.scenario.network.latency * 2
        guard simulation.machines[server].program != nil else {
            simulation.schedule(.connectionLost(machine: Int32(machine.index), server: Int32(server)), at: openAt)
            return nil
        }
        return tcp.open(client: machine.index, at: outside, server: server, to: remote, openAt: openAt)
    }

    /// Ends the connections of a machine: all of them, or those that it has made.
    func endStreams(of machine: Machine, onlyMade: Bool = false) {
        let over = tcp.end { $0.client == machine.index || (!onlyMade && $0.server == machine.index) }
        for link in over where simulation.machines[link.client].isUp {
            simulation.schedule(
                .connectionLost(machine: Int32(link.client), server: Int32(link.server)),
                at: simulation.now + simulation.scenario.network.latency * 2)
        }
    }

    func connectionIsLost(_ machine: Machine, to server: Machine) {
        guard machine.isUp, let agent = machine.agent else { return }
        for address in simulation.network.addresses(of: server.index) {
            agent.handle(
                .connectionLost(SocketAddress(address.ip, TCPLinks.port)), now: machine.local(simulation.now))
        }
        simulation.programs.flush(machine)
    }
}
