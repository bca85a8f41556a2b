import Base
package import Control
import EventLoop
import Glibc
import Logging
package import Mesh
import Wire

// What the agent outputs, done.

extension AgentDaemon: PumpShell {
    /// The agent must not act on a state that is not on the disk. So the process ends if the disk refuses a write; the next
    /// start finds the previous state.
    package func store(_ change: PumpedAgent.Change, durable: @escaping () -> Void) {
        do throws(FileError) { try state.write(change) } catch {
            log.critical("cannot keep state", metadata: ["path": "\(error.path)", "reason": "\(error.reason)"])
            // Nothing is cleaned up, as with kill -9.
            _exit(ExitStatus.unavailable.rawValue)
        }
        durable()
    }

    package func stored(_ change: PumpedAgent.Change) {
        if case .membership = change { placeOverlay() }
    }

    package func perform(_ action: AgentAction) {
        switch action {
        case .worker(let action): supervise(action)
        case .check(let operation, _, let spec):
            pump.handle(.checked(operation: operation, problems: workers.check(spec)))
        case .readLog(let operation, let worker, let offset, let limit):
            let chunk = workers.readLog(worker, from: offset, limit: limit)
            pump.handle(
                .logRead(
                    LogRead(
                        operation: operation, worker: worker, offset: chunk.offset, bytes: chunk.bytes,
                        nextOffset: chunk.nextOffset, isAtEnd: chunk.isFinal)))
        // A change, which went to `store`.
        case .persistMembership: break
        case .reply(let id, let result): removeCall(id)?(result.map(withShellFacts))
        // A notice states the same.
        case .ready: break
        case .notice(let notice):
            lines.report(notice)
            showStatus()
        case .resolve(let names):
            self.names.resolve(names) { [weak self] name, addresses in
                self?.pump.handle(.resolved(name, addresses))
            }
        case .stopped: pump.end()
        case .overlayUnreachable(let address, _): overlay?.unreachable(address)
        // Its route has come with it.
        case .overlayReachable: break
        case .benchServe(let service): benches.start(service)
        case .benchEnd(let number): benches.end(number)
        }
    }

    private func supervise(_ action: SupervisorAction) {
        switch action {
        case .launch(let worker, let spec):
            log.info("launching", metadata: ["worker": "\(worker)"])
            do throws(SpecProblem) {
                let operation = pump.core.agent.desired(for: worker)?.operation ?? ""
                try workers.launch(worker, spec, operation: operation)
            } catch {
                pump.handle(.launchFailed(worker, error))
            }
        case .signal(let worker, let number):
            let grace = pump.core.agent.desired(for: worker)?.spec.stop.graceSeconds
            workers.signal(worker, number, graceSeconds: grace)
        case .killTree(let worker): workers.killTree(worker)
        case .remove(let worker): workers.remove(worker)
        // A change, which went to `store`.
        case .persist: break
        }
    }

    package func send(_ mesh: inout MeshOutbox) {
        // The receiver of the datagrams may answer with packets, for which the keys must be there.
        if let overlay, !mesh.dataPlane.isEmpty {
            overlay.apply(mesh.dataPlane)
            for case .measure(let peer, let remote) in mesh.dataPlane { measure(peer, at: remote) }
        }
        mesh.dataPlane.removeAll()
        captures.tap?.outer(&mesh.datagrams, isOutward: true)
        port.send(&mesh.datagrams)
        if !mesh.closedSockets.isEmpty {
            port.close(mesh.closedSockets)
            mesh.closedSockets.removeAll()
        }
    }

    /// Asks the kernel for the MTU of the path to an address. `peer` is `nil` where a datagram was too large.
    func measure(_ peer: Int?, at remote: SocketAddress) {
        pump.turn { core, now in
            guard let mtu = pathMTU(to: remote) else { return }
            core.agent.measured(peer, at: remote, mtu: mtu, now: now, into: &core.out)
        }
    }

    /// Gives the interface the addresses that this node has now.
    func placeOverlay() {
        guard let overlay, let place = pump.core.agent.overlay else { return }
        overlay.configure(place, log: log)
    }
}
