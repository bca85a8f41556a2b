import Base
import Control
import Wire

// Datagrams travel, and strangers send theirs.

extension Simulation {
    /// A datagram of a program's outbox goes on its way.
    func send(_ batch: inout DatagramBatch, _ index: Int, from machine: Machine) {
        fly(pooled(&batch, index, from: machine), from: machine)
    }

    /// ... or waits until what the program wrote is durable.
    func holdBack(_ batch: inout DatagramBatch, _ index: Int, of machine: Machine) {
        machine.waiting.append(.datagram(pooled(&batch, index, from: machine)))
    }

    private func pooled(_ batch: inout DatagramBatch, _ index: Int, from machine: Machine) -> Int32 {
        // From where it seems to come is known when it leaves.
        let remote = batch.entries[index].remote
        let flight = Internet.Flight(realm: Internet.ipv4, from: remote, to: remote)
        let slot = batch.withBytes(at: index) { bytes in
            pool.add(UnsafeRawBufferPointer(bytes), flight, sender: Int32(machine.index))
        }
        pool.setSocket(slot, batch.entries[index].socket)
        return slot
    }

    func fly(_ slot: Int32, from machine: Machine) {
        let bytes = pool.bytes(slot)
        counts.datagrams += 1
        timeline.record(.sent, machine.index, at: now, UInt64(bytes.count), pool.tail(slot))
        if scenario.network.strangers > 0 { overhear(bytes) }
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
                timeline.record(.duplicated, machine.index, at: now)
                approach(pool.copy(slot), target, at: again)
            }
            if network.corrupt(bytes) { timeline.record(.fault, machine.index, at: now) }
            approach(slot, target, at: time)
        }
    }

    /// Where lines have no rate, to be before one is to be there.
    private func approach(_ slot: Int32, _ target: Int, at time: Instant) {
        queue.push(
            network.isLimited ? .line(datagram: slot, machine: Int32(target)) : arrival(slot, target), at: time)
    }

    private func arrival(_ slot: Int32, _ target: Int) -> Event {
        pool.slots[Int(slot)].socket < PathAddress.tcpOut
            ? .arrival(datagram: slot) : .delivery(datagram: slot, machine: Int32(target))
    }

    func takeIn(_ slot: Int32, at target: Int) {
        guard let time = network.takeIn(pool.slots[Int(slot)].count, at: target, now: now) else {
            return lose(slot, .queueFull)
        }
        queue.push(arrival(slot, target), at: time)
    }

    private func lose(_ slot: Int32, _ why: Timeline.Kind) {
        counts.lost += 1
        timeline.record(why, Int(pool.slots[Int(slot)].sender), at: now)
        pool.release(slot)
    }

    func arrived(_ slot: Int32) {
        let count = pool.bytes(slot).count
        guard case .success(let target) = network.arrive(pool.slots[Int(slot)].flight, count: count, now: now) else {
            return lose(slot, .unreachable)
        }
        // From here on it says by which socket it came.
        pool.setSocket(slot, target.socket)
        reached(slot, machines[target.machine])
    }

    func reached(_ slot: Int32, _ machine: Machine) {
        guard machine.program != nil else { return lose(slot, .unreachable) }
        guard machine.pausedUntil == nil else {
            // What a socket holds while nobody reads it: some 200 KiB, of which small datagrams take 768 bytes each.
            guard machine.heldDatagrams < Simulation.socketBuffer else { return lose(slot, .queueFull) }
            machine.heldDatagrams += 1
            return machine.held.append(.arrival(datagram: slot))
        }
        deliver(slot, to: machine)
    }

    private static let socketBuffer = 270

    func deliver(_ slot: Int32, to machine: Machine) {
        guard let program = machine.program else { return pool.release(slot) }
        let sender = Int(pool.slots[Int(slot)].sender)
        timeline.record(.arrived, machine.index, at: now, UInt64(sender + 1))
        if machine.index == 0, sender > 0 { machines[sender].lastHeard = now }
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
        flush(machine)
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
        let begin = max(now, link.openAt)
        var arrival: Instant
        switch network.carry(
            bytes.count, from: machine.index, to: target, now: begin, repair: TCPLinks.repair)
        {
        case .lost(.lost): arrival = begin + scenario.network.latency + TCPLinks.repair
        case .lost(let why): return lose(slot, why)
        case .arrives(let time, _): arrival = time
        }
        arrival = tcp.arrival(index, isUp: isUp, at: arrival)
        pool.send(slot, on: Internet.Flight(realm: Internet.ipv4, from: isUp ? link.from : link.to, to: remote))
        pool.setSocket(slot, isUp ? PathAddress.tcpIn : PathAddress.tcpOut)
        approach(slot, target, at: arrival)
    }

    private func openStream(from machine: Machine, to remote: SocketAddress) -> Int? {
        guard let server = network.openHost(at: remote.ip), remote.port == TCPLinks.port,
            let outside = network.outside(of: machine.index, isIPv4: remote.ip.isIPv4)
        else { return nil }
        let openAt = now + scenario.network.latency * 2
        guard machines[server].program != nil else {
            queue.push(.connectionLost(machine: Int32(machine.index), server: Int32(server)), at: openAt)
            return nil
        }
        return tcp.open(client: machine.index, at: outside, server: server, to: remote, openAt: openAt)
    }

    /// Ends the connections of a machine: all of them, or those that it has made.
    func endStreams(of machine: Machine, onlyMade: Bool = false) {
        let over = tcp.end { $0.client == machine.index || (!onlyMade && $0.server == machine.index) }
        for link in over where machines[link.client].isUp {
            let client = Int32(link.client)
            queue.push(
                .connectionLost(machine: client, server: Int32(link.server)), at: now + scenario.network.latency * 2)
        }
    }

    func connectionIsLost(_ machine: Machine, to server: Machine) {
        guard machine.isUp, let agent = machine.program as? AgentProcess else { return }
        for address in network.addresses(of: server.index) {
            agent.handle(.connectionLost(SocketAddress(address.ip, TCPLinks.port)), now: machine.local(now))
        }
        flush(machine)
    }

    // MARK: - Strangers

    private static let overheardLimit = 64

    private func overhear(_ bytes: UnsafeMutableRawBufferPointer) {
        if overheard.count < Simulation.overheardLimit {
            overheard.append([UInt8](bytes))
        } else if counts.datagrams % 97 == 0 {
            overheard[counts.datagrams / 97 % Simulation.overheardLimit] = [UInt8](bytes)
        }
    }

    /// Somebody on the outside sends something to somebody: noise, or what was overheard, whole or damaged.
    func strangerComes() {
        guard !isHealed else { return }
        let period = Interval.nanoseconds(1_000_000_000 / max(1, scenario.network.strangers))
        queue.push(.stranger, at: now + random.jittered(period, percent: 50))
        var bytes = strangeBytes()
        if bytes.isEmpty { bytes = [0] }
        let target = random.chance(1, in: 2) ? 0 : random.index(below: machines.count)
        let from = SocketAddress(
            .v4(0xc000_0200 + UInt32(random.next(below: 250))), UInt16(random.next(in: 1...65_535)))
        timeline.record(.stranger, target, at: now, UInt64(bytes.count))
        let flight = network.doorstep(of: target, from: from)
        let slot = bytes.withUnsafeBytes { pool.add($0, flight, sender: -1) }
        queue.push(.arrival(datagram: slot), at: now + scenario.network.latency)
    }

    private func strangeBytes() -> [UInt8] {
        let kind = random.next(below: 5)
        if kind == 0 || overheard.isEmpty {
            let sizes = [1, 16, 32, 64, 148, 200, 1232, 1500, 65_535]
            let first = UInt8(random.next(below: 6))
            return [first] + (1..<max(2, sizes[random.index(below: sizes.count)])).map { UInt8(($0 * 7) & 255) }
        }
        var bytes = overheard[random.index(below: overheard.count)]
        switch kind {
        case 1: bytes.removeLast(random.index(below: bytes.count))
        case 2: bytes[random.index(below: bytes.count)] ^= UInt8(1 + random.next(below: 255))
        case 3: bytes += [UInt8](repeating: 7, count: 1 + random.index(below: 64))
        default: break
        }
        return bytes
    }
}
