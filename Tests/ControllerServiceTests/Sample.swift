import Base
import Control
import Daemon
import Noise
import Wire

/// A state with at least one of everything.
enum Sample {
    static func state(seed: UInt64 = 1) -> StoredState {
        var generator = KeyGenerator(Seed(seed, 2, 3, 4))
        var state = StoredState()
        state.counters.serial = 7
        state.counters.generation = .max
        state.counters.operation = 12
        state.counters.overlay = 5
        state.counters.overlayNetwork = IPPrefix("10.9.0.0/16")
        let key = generator.signingKey()
        let authority = Authority(fleet: FleetID(5, 6), key: key)
        for number in 0..<3 {
            let node = generator.secretKey().publicKey
            let certificate = authority.issue(
                UInt64(number), to: node, name: "node-\(number)", site: "hall", labels: [Label("gpu", "yes")],
                roles: [.agent], wall: UnixTime(seconds: 1_700_000_000))
            state.nodes.append(
                NodeRecord(
                    node: node, certificate: certificate, enrolledAt: UnixTime(milliseconds: 1_700_000_000_123),
                    token: "00112233", revision: UInt64(number)))
        }
        for number in 0..<2 {
            state.tokens.append(
                TokenRecord(
                    id: generator.bytes(8), secret: generator.bytes(32), name: number == 0 ? nil : "käse 'n\" more",
                    createdAt: UnixTime(seconds: 1), expiresAt: UnixTime(seconds: -1), uses: 9, used: number,
                    isRevoked: number == 1, isForBeacons: number == 1))
        }
        for number in 0..<3 {
            var spec = WorkerSpec(command: ["/bin/sh", "-c", "echo \"ü\" \\ '\n'"])
            spec.environment = [EnvironmentVariable("A", "b\u{1}")]
            spec.limits.memoryBytes = .max
            spec.restart.mode = .onFailure
            spec.priority = .low
            let worker = WorkerRef("worker-\(number)", generation: UInt64(number) << 40)
            state.workers.append(
                PlacementRecord(
                    node: state.nodes[number].node,
                    desired: DesiredWorker(worker, spec: spec, run: number != 1, operation: "op\(number)")))
            state.operations.append(
                OperationRecord(number: UInt64(number) + 9, operation: "op\(number)", worker: worker))
        }
        state.events = [
            event(1, #""kind":"tokenCreated""#),
            event(2, #""kind":"workerRequested","node":"\#(state.nodes[0].node.hex)","nodeName":"n","worker":"w""#),
        ]
        return state
    }

    static func changes(of state: StoredState) -> [StoreChange] {
        [.counters(state.counters)] + state.nodes.map { .node($0) } + state.tokens.map { .token($0) }
            + state.workers.map { .worker($0) } + state.operations.map { .operation($0) }
            + state.events.map { .event($0) }
    }

    private static func event(_ id: Int, _ rest: String) -> EventView {
        let text = #"{"id":\#(id),"at":1700000000123,"message":"it's",\#(rest)}"#
        // The text above is an event.
        return try! StrictJSON.decode(from: Array(text.utf8))
    }
}
