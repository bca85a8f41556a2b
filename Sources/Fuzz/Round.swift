import Base
import Control
import Mesh
import Noise
import Wire

/// # A fuzzing round
///
/// A small fleet in one process, in virtual time. Two kinds of datagrams are thrown at it:
///
/// - *outside*: earlier datagrams, changed or repeated, from anywhere. Their sender holds no keys.
/// - *inside*: any plaintext, sealed with the keys of a session that a hostile peer has made: a member, a node
///   without a certificate, or (for an agent) its own controller.
///
/// ```
///   ann ══ session ══ bob          endpoints; bob is the target, mallory (member) and anna (no member) hostile to him
///   alpha ══ session ══ controller  the real two; hostile: mallory (member), nina (enrols)
///   king ══ session ══ beta         beta is a real agent, and its controller is hostile
/// ```
///
/// Laws, checked after each datagram or after every `Round.checkEvery` of them:
/// 1. Nothing traps.
/// 2. An outside datagram is dropped for one counted reason, or (a first message) answered, and never both or neither.
/// 3. The answer to it is no longer than itself.
/// 4. Every datagram is counted as received.
/// 5. Sessions with honest peers live on, and messages get through, whatever unauthenticated and other peers send.
/// 6. Peers and streams stay within `Limits`, and timers come to rest.
///
/// Static keys are the same in all rounds, so that kept inputs mean the same in each; everything else is drawn from the
/// round's seed.
package final class Round {
    package struct Violation: Error, CustomStringConvertible {
        package var iteration: Int
        package var description: String
    }
    static let checkEvery = 1000

    var now = Instant(nanoseconds: 1_000_000_000)
    let fleet: FuzzFleet
    var mutator: Mutator
    var frames: FrameMaker
    var messages: MessageMaker
    package private(set) var tally: Tally
    private var wire: [Flying] = []
    private var recorded: [[Flying]] = [[], [], []]
    private var delivered = [0, 0, 0]
    private var unauthenticated = [0, 0, 0]
    private var iteration = 0
    private var nonce: UInt64 = 0
    private var broken: String?
    /// Called for every datagram before it is thrown.
    package var watcher: ((_ iteration: Int, _ what: String, _ bytes: [UInt8]) -> Void)?

    package init(seed: UInt64, number: UInt64, tally: Tally = Tally()) {
        var random = Random(Seed(seed &* 1_000_003 &+ number))
        fleet = FuzzFleet(&random, now: now)
        mutator = Mutator(random.split())
        frames = FrameMaker(random.split())
        messages = MessageMaker(random.split())
        self.tally = tally
        fleet.ann.connect(to: fleet.bob, now: now)
        settle(fleet.ann)
        advance(.milliseconds(1200))
    }

    package func run(_ iterations: Int) throws(Violation) {
        for _ in 0..<iterations {
            iteration += 1
            step()
            if iteration % Round.checkEvery == 0 { check() }
            if let broken { throw Violation(iteration: iteration, description: broken) }
        }
    }

    private func step() {
        if iteration % 32 == 0 { advance(pause()) }
        switch mutator.random.index(below: 100) {
        case 0..<84: throwOutside()
        case 84..<99: throwInside()
        case _: throwHandshake()
        }
        tally.iterations += 1
    }

    private func pause() -> Interval {
        if mutator.random.chance(1, in: 60) { return .milliseconds(Int64(mutator.random.next(below: 3000))) }
        return .microseconds(Int64(mutator.random.next(below: 4000)))
    }

    func fail(_ text: String) { if broken == nil { broken = text } }

    // MARK: - Outside

    private func throwOutside() {
        let index = mutator.random.index(below: 3)
        guard !recorded[index].isEmpty else { return }
        let original = mutator.pick(recorded[index])
        var bytes = original.bytes
        if !mutator.random.chance(1, in: 10) {
            let place = mutator.random.index(below: 64), third = mutator.random.index(below: 3)
            let other = place < recorded[third].count ? recorded[third][place].bytes : original.bytes
            for _ in 0..<1 + mutator.random.index(below: 3) {
                let change = mutator.change(&bytes, with: other)
                tally.count(change)
            }
        }
        // A batch has no empty datagrams.
        if bytes.isEmpty { bytes = [0] }
        let first = bytes.first
        if first == 1 || first == 2, bytes.count > 40, mutator.random.chance(1, in: 3) {
            fleet.hostiles(to: index)[0].stamp(&bytes, now: now)
        }
        let from: SocketAddress =
            switch mutator.random.index(below: 4) {
            case 0: SocketAddress(.v4(UInt32(truncatingIfNeeded: mutator.random.next())), 4000)
            case 1: SocketAddress(.v6(high: 1, low: mutator.random.next(below: 50)), 4000)
            case _: original.from
            }
        replay(outside: bytes, from: from, index)
    }

    private func replay(outside bytes: [UInt8], from: SocketAddress, _ index: Int) {
        watcher?(iteration, "outside \(fleet.targets[index].name)", bytes)
        unauthenticated[index] += 1
        guard index == 0 else { return hit(index, bytes, from: from) }
        let before = fleet.bob.endpoint.counters
        hit(0, bytes, from: from)
        let after = fleet.bob.endpoint.counters
        let outcome = Outcome(before, after)
        tally.outside(bytes, outcome)
        if outcome.drops + outcome.answers != 1 {
            fail("an outside datagram was dropped \(outcome.drops) times and answered \(outcome.answers) times")
        }
        if after.bytesSent - before.bytesSent > bytes.count {
            fail("\(bytes.count) bytes from outside were answered with \(after.bytesSent - before.bytesSent)")
        }
        if after.datagramsReceived != before.datagramsReceived + 1 { fail("a datagram was not counted") }
    }

    /// Delivers one datagram and all that follows from it.
    private func hit(_ index: Int, _ bytes: [UInt8], from: SocketAddress) {
        var batch = DatagramBatch(capacity: bytes.count + 16)
        batch.append(bytes, remote: from)
        delivered[index] += 1
        fleet.targets[index].received(&batch, now: now)
        settle(fleet.targets[index])
    }

    // MARK: - Inside

    private func throwInside() {
        let index = mutator.random.index(below: 3)
        let peer = mutator.pick(fleet.hostiles(to: index))
        guard ready(peer, index) else { return }
        var message: [UInt8]?
        if mutator.random.chance(1, in: 2) {
            message = messages.bytes(peer, token: fleet.token)
            tally.message(message!)
        }
        let plain = frames.plaintext(peer, message: message)
        throwInside(plain, peer, index)
    }

    private func throwInside(_ plain: [UInt8], _ peer: HostilePeer, _ index: Int) {
        watcher?(iteration, "inside \(fleet.targets[index].name)", plain)
        let sealed = peer.seal(plain)
        let before = fleet.bob.endpoint.counters
        hit(index, sealed, from: peer.address)
        remember(Flying(from: peer.address, to: peer.targetAddress, bytes: sealed), index)
        let outcome = Outcome(before, fleet.bob.endpoint.counters)
        if index == 0 {
            if outcome.reason == .unknownSession { peer.forget() }
            if outcome.drops > 1 { fail("an authentic datagram was dropped \(outcome.drops) times") }
        }
        tally.inside(plain, index, isAlive: peer.hasSession, outcome)
        if !peer.hasSession { tally.sessionsEnded += 1 }
    }

    /// Whether the peer has a session; if not, it makes one, or waits for the target to do so.
    private func ready(_ peer: HostilePeer, _ index: Int) -> Bool {
        if peer.hasSession, !peer.isStale(now) { return true }
        peer.forget()
        if index == 2 {
            advance(.milliseconds(500))
        } else {
            post(Flying(from: peer.address, to: peer.targetAddress, bytes: peer.first(now: now)))
        }
        if peer.hasSession { tally.sessions += 1 }
        return peer.hasSession
    }

    /// A handshake whose payload is not what it should be.
    private func throwHandshake() {
        let index = mutator.random.index(below: 3)
        let peer = mutator.pick(fleet.hostiles(to: index))
        var payload = peer.honestPayload(padded: mutator.random.chance(1, in: 2))
        let change = mutator.change(&payload, with: fleet.otherPayload)
        tally.count(change)
        if payload.count > 1000 { payload.removeLast(payload.count - 1000) }
        let bytes = peer.first(payload: payload, now: now)
        tally.handshakes += 1
        watcher?(iteration, "handshake \(fleet.targets[index].name)", bytes)
        let before = fleet.bob.endpoint.counters
        hit(index, bytes, from: peer.address)
        if index == 0 { tally.handshake(bytes, Outcome(before, fleet.bob.endpoint.counters)) }
        remember(Flying(from: peer.address, to: peer.targetAddress, bytes: bytes), index)
    }

    // MARK: - The network

    private func remember(_ datagram: Flying, _ index: Int) {
        guard datagram.bytes.count < 4096 else { return }
        if recorded[index].count < 64 {
            recorded[index].append(datagram)
        } else {
            // Kinds that make sessions are rare, so a new one replaces one of the same kind.
            let slot = mutator.random.index(below: 64)
            let isSame = recorded[index][slot].bytes[0] == datagram.bytes[0]
            if isSame || mutator.random.chance(1, in: 20) { recorded[index][slot] = datagram }
        }
    }

    private func post(_ datagram: Flying) {
        wire.append(datagram)
        pump()
    }

    /// Takes a target's datagrams, and delivers them.
    private func settle(_ target: any Target) {
        target.drain(now: now, into: &wire)
        if !wire.isEmpty { pump() }
    }

    private func pump() {
        var position = 0
        while position < wire.count {
            let datagram = wire[position]
            position += 1
            guard position < 100_000 else {
                wire = []
                return fail("datagrams go back and forth for ever")
            }
            deliver(datagram)
        }
        wire.removeAll(keepingCapacity: true)
    }

    private func deliver(_ datagram: Flying) {
        if let index = fleet.targets.firstIndex(where: { $0.address == datagram.to }) {
            remember(datagram, index)
            delivered[index] += 1
        }
        if let actor = fleet.actors.first(where: { $0.address == datagram.to }) {
            var batch = DatagramBatch(capacity: datagram.bytes.count + 16)
            batch.append(datagram.bytes, remote: datagram.from)
            actor.received(&batch, now: now)
            actor.drain(now: now, into: &wire)
        } else if let peer = fleet.hostile(at: datagram.to) {
            for bytes in peer.receive(datagram.bytes, now: now) {
                wire.append(Flying(from: peer.address, to: peer.targetAddress, bytes: bytes))
            }
        }
    }

    /// Lets time pass, deadline by deadline.
    private func advance(_ interval: Interval) {
        let end = now + interval
        var steps = 0
        while true {
            let next = fleet.actors.compactMap(\.deadline).min() ?? .distantFuture
            guard next <= end else { break }
            steps += 1
            guard steps < 100_000 else {
                let busy = fleet.actors.first { ($0.deadline ?? .distantFuture) <= now }
                return fail("\(busy?.name ?? "a timer") never rests")
            }
            now = max(now, next)
            for actor in fleet.actors where (actor.deadline ?? .distantFuture) <= now {
                actor.tick(now: now)
                settle(actor)
            }
        }
        now = end
    }

    // MARK: - Laws

    private func check() {
        nonce += 1
        var writer = ByteWriter()
        writer.uint64(nonce)
        fleet.ann.endpoint.send(writer.bytes, to: fleet.bob.node, now: now)
        fleet.bob.endpoint.send(writer.bytes, to: fleet.ann.node, now: now)
        settle(fleet.ann)
        settle(fleet.bob)
        if fleet.bob.takeReceived() != [writer.bytes] || fleet.ann.takeReceived() != [writer.bytes] {
            fail("a message between honest peers was lost")
        }
        for actor in fleet.actors {
            if let complaint = actor.complaint(now: now) { fail(complaint) }
            settle(actor)
        }
        fleet.beta.look(now: now, into: &wire)
        pump()
        fleet.controller.look(now: now)
        settle(fleet.controller)
        checkCounts()
    }

    private func checkCounts() {
        let counts = [fleet.bob.endpoint.counters.datagramsReceived] + [fleet.controller.received, fleet.beta.received]
        for index in 0..<3 where counts[index] != delivered[index] {
            fail("\(fleet.targets[index].name) counted \(counts[index]) of \(delivered[index]) datagrams")
        }
        for (index, settled) in [(1, fleet.controller.settled), (2, fleet.beta.settled)]
        where settled < unauthenticated[index] {
            fail("\(fleet.targets[index].name): \(unauthenticated[index]) outside, \(settled) dropped or answered")
        }
    }

    // MARK: - Kept inputs

    /// Throws a kept input once, and checks the same laws.
    package func replay(_ kept: Kept) throws(Violation) {
        iteration += 1
        switch kept.variant {
        case .outside: for index in 0..<3 { replay(outside: kept.bytes, from: fleet.ann.address, index) }
        case .inside:
            for index in 0..<3 {
                for peer in fleet.hostiles(to: index) where ready(peer, index) {
                    throwInside(kept.bytes, peer, index)
                }
            }
        case .message:
            for index in 1..<3 {
                for peer in fleet.hostiles(to: index) where ready(peer, index) {
                    throwInside(frames.carrying(kept.bytes, peer), peer, index)
                }
            }
        }
        check()
        if let broken { throw Violation(iteration: iteration, description: "\(kept.name): \(broken)") }
    }
}
