import Base
import Control
import Mesh
import Noise
import OrderedCollections
import Wire

/// A controller with its operators: they sometimes ask for everything, so that all reported values are shown.
final class ControllerTarget: Target {
    let name = "controller"
    let node: NodeID
    let address: SocketAddress
    private var controller: Controller
    private var outbox = ControllerOutbox()
    private(set) var persisted = 0
    private(set) var status: StatusView?
    private(set) var nodes: [NodeView] = []
    private var requests = 0

    init(
        key: consuming SecretKey, authority: consuming Authority, stored: StoredState, address: SocketAddress,
        seed: Seed, now: Instant, clock: Clock
    ) {
        node = key.publicKey
        self.address = address
        controller = Controller(
            identity: Identity(key), authority: authority,
            settings: ControllerSettings(name: "controller", addresses: [address]), stored: stored, incarnation: 1,
            seed: seed, now: now, wall: clock.wall(now))
    }

    var deadline: Instant? { controller.deadline?.at }
    func received(_ batch: inout DatagramBatch, now: Instant) { controller.received(&batch, now: now, into: &outbox) }
    func tick(now: Instant) { controller.tick(now: now, into: &outbox) }

    func drain(now: Instant, into wire: inout [Flying]) {
        take()
        outbox.mesh.datagrams.drain(from: address, into: &wire)
    }

    private func take() {
        for action in outbox.actions {
            switch action {
            case .persist(let changes): persisted += changes.count
            case .reply(_, .success(.status(let view))): status = view
            case .reply(_, .success(.nodes(let views))): nodes = views
            case .reply: break
            }
        }
        outbox.actions.removeAll(keepingCapacity: true)
    }

    func ask(_ request: ControllerRequest, now: Instant) {
        requests += 1
        controller.handle(.request(RequestID(UInt64(requests)), request), now: now, into: &outbox)
        take()
    }

    /// Shows everything that agents have reported.
    func look(now: Instant) {
        for request: ControllerRequest in [
            .status, .nodesList, .workersList(.init()), .acceleratorsList, .peersList,
            .nodesGet(.init(node: "mallory")), .workersGet(.init(name: "w1")), .eventsList(.init()),
        ] { ask(request, now: now) }
    }

    func complaint(now: Instant) -> String? {
        look(now: now)
        guard let alpha = nodes.first(where: { $0.name == "alpha" }) else { return "the controller forgot a node" }
        guard alpha.state == .online else { return "the controller reports that alpha is \(alpha.state)" }
        return nil
    }

    func count(_ name: String) -> Int { status?.counters.first { $0.name == name }?.count ?? 0 }
}
