import Base
import Control
import Mesh
import Noise
import Wire

/// One life of the controller.
final class ControllerProcess: Program {
    private var controller: Controller
    private var outbox = ControllerOutbox()

    /// The fleet that follows from the controller's keys.
    static func fleet(_ machine: Machine) -> FleetID {
        var generator = KeyGenerator(machine.keySeed)
        _ = generator.secretKey()
        return FleetID(generator.uint64(), 1)
    }

    init(_ machine: Machine, settings: ControllerSettings, now: Instant, wall: UnixTime) {
        var generator = KeyGenerator(machine.keySeed)
        let identity = Identity(generator.secretKey())
        let authority = Authority(fleet: FleetID(generator.uint64(), 1), key: generator.signingKey())
        controller = Controller(
            identity: identity, authority: authority, settings: settings, stored: machine.disk.store,
            incarnation: machine.random.next(),
            seed: Seed(machine.random.next(), machine.random.next(), machine.random.next(), machine.random.next()),
            now: now, wall: wall)
    }

    func received(_ batch: inout DatagramBatch, now: Instant, wall: UnixTime) {
        controller.received(&batch, now: now, into: &outbox)
    }
    func tick(now: Instant, wall: UnixTime) { controller.tick(now: now, into: &outbox) }
    func handle(_ input: ControllerInput, now: Instant) { controller.handle(input, now: now, into: &outbox) }
    var deadline: Deadline? { controller.deadline }

    func takeEffects(_ effects: inout [Effect]) {
        for action in outbox.actions {
            switch action {
            case .persist(let changes): effects.append(.persist(.store(changes)))
            case .reply(let id, let result): effects.append(.controllerReply(id, result))
            }
        }
        outbox.actions.removeAll(keepingCapacity: true)
    }

    func takeDatagrams(_ body: (inout DatagramBatch) -> Void) {
        guard !outbox.mesh.datagrams.isEmpty else { return }
        body(&outbox.mesh.datagrams)
        outbox.mesh.datagrams.removeAll()
    }

    /// Answers a request that can be answered at once and that is not an operator's command.
    func look(_ request: ControllerRequest, now: Instant) -> ControllerReply? {
        precondition(outbox.actions.isEmpty, "a look between two effects")
        controller.handle(.request(RequestID(.max), request), now: now, into: &outbox)
        for case .reply(RequestID(.max), .success(let reply)) in outbox.actions {
            outbox.actions.removeAll { if case .reply(RequestID(.max), _) = $0 { true } else { false } }
            return reply
        }
        return nil
    }

    func holdings(machines: Int, now: Instant) -> [Holding] {
        guard case .peers(let peers) = look(.peersList, now: now) else { return [] }
        return Holding.of(peers, machines: machines)
    }
}
