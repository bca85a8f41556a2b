import Base
import Control
import EventLoop
import Glibc
import Logging
import Mesh
import Noise
import Platform
import Wire

// What is asked of the shell alone: its sockets, and what passes them.

extension AgentDaemon {
    /// What only the shell knows of itself.
    func withShellFacts(_ reply: AgentReply) -> AgentReply {
        switch reply {
        case .status(var view):
            view.cryptography = CipherAcceleration.describe()
            view.portMapping = portMapping?.view
            view.counters.add(port.counters)
            if let overlay { view.counters.add(overlay.counters) }
            return .status(view)
        case .netcheck(var view):
            view.add(MachineNetwork.read(pod: pod, overlay: overlay?.interface))
            view.add(surveys.report, now: loop.now)
            view.portMapping = portMapping?.view
            return .netcheck(view)
        case .peers, .ping, .joined, .workers, .accelerators, .bench, .why, .rebound, .capture: return reply
        }
    }

    /// Datagrams of sockets that no lane of the overlay reads.
    func arrived(_ batch: inout DatagramBatch) {
        captures.tap?.outer(&batch, isOutward: false)
        pump { $0.received(&batch, now: $1, into: &$2) }
    }

    func makeCaptures() -> CaptureHost {
        let me = Weak(self)
        return CaptureHost(
            on: loop,
            CaptureHost.Surroundings(
                party: { me.object?.agent.party(of: $0) ?? CapturedPacket.Party() },
                local: { me.object?.localEnd(toward: $0, by: $1) ?? SocketAddress(.any4, 0) },
                install: { me.object?.overlay?.capture($0) }))
    }

    /// `nil` where no gateway is to be asked.
    func makePortMapping() -> PortMappingHost? {
        guard settings.portMapping == .auto, let address = port.localAddress else { return nil }
        // Without it, a mapping of before is merely not taken up again.
        let identity = (try? Files.read("\(settings.stateDirectory)/identity")) ?? nil
        let me = Weak(self)
        return PortMappingHost(
            on: loop, listening: address,
            nonce: PortMappingHost.nonce(identity: identity ?? Entropy.bytes(SecretKey.count)), log: log
        ) { me.object?.handle(.mapped($0)) }
    }

    /// The mesh's port is another: the gateway opens that one, and no more the old one.
    private func moveMapping() {
        guard let old = portMapping else { return }
        old.stop { [weak self] in
            old.close()
            guard let self, self.portMapping === old else { return }
            self.portMapping = self.makePortMapping()
            self.portMapping?.look()
        }
    }

    /// This node's end of datagrams to an address: what the socket is bound to, or what the kernel would choose.
    private func localEnd(toward remote: SocketAddress, by socket: UInt16) -> SocketAddress? {
        guard let number = port.localPort(of: socket) else { return nil }
        if let bound = port.localAddress?.ip, !bound.isUnspecified { return SocketAddress(bound, number) }
        return sourceAddress(toward: remote).map { SocketAddress($0, number) }
    }

    /// Packets of the overlay may hold what other users of this machine say to each other in clear, whatever the mode of
    /// the socket's file has become.
    static func mayAsk(_ request: AgentRequest, _ asker: ByteStream.Credentials?) -> APIError? {
        guard case .captureStart = request else { return nil }
        guard let asker, asker.uid == 0 || asker.uid == geteuid() else {
            return APIError(.refused, "only root and the agent's own user may capture")
        }
        return nil
    }

    /// Does what concerns the shell alone; false for what is the agent's.
    func answered(_ request: AgentRequest, _ answer: @escaping CaptureHost.Answer) -> Bool {
        switch request {
        case .debugRebind(let wish): answer(rebind(wish).map { .rebound($0) })
        case .captureStart(let order):
            guard let text = order.peer else { captures.start(order, peer: nil, answer); return true }
            switch agent.capturedPeer(text, now: loop.now) {
            case .success(let node): captures.start(order, peer: node, answer)
            case .failure(let error): answer(.failure(error))
            }
        case .captureRead(let number): captures.read(number.capture, answer)
        case .captureStop(let number): captures.stop(number.capture, answer)
        case .status, .peersList, .ping, .join, .workersList, .acceleratorsList, .benchStart, .why, .netcheck,
            .debugDropPath, .debugRelayOnly:
            return false
        }
        return true
    }

    private func rebind(_ wish: AgentRequest.Rebind) -> Result<RebindView, APIError> {
        let number = wish.port ?? 0
        guard (0...65_535).contains(number) else {
            return .failure(APIError(.invalid, "must be 0 to 65535, not \(number)", field: "port"))
        }
        let before = port.localAddress
        do throws(Errno) {
            if let overlay { try overlay.rebind(port, to: UInt16(number)) } else { try port.rebind(to: UInt16(number)) }
        } catch {
            return .failure(APIError(.refused, "port \(number): \(error.message)", field: "port"))
        }
        log.notice(
            "sockets opened anew",
            metadata: [
                "before": "\(before.map(String.init(describing:)) ?? "?")",
                "now": "\(port.localAddress.map(String.init(describing:)) ?? "?")",
            ])
        lookAtAddresses()
        if port.localAddress?.port != before?.port { moveMapping() }
        return .success(RebindView(address: port.localAddress, before: before))
    }
}
