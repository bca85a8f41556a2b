import Base
import Control
import EventLoop
import Glibc
import Logging
import Mesh
import Noise

// Requests that only the shell can answer: about its sockets, and about what passes them.

extension AgentDaemon {
    /// Adds what only the shell knows.
    func withShellFacts(_ reply: AgentReply) -> AgentReply {
        switch reply {
        case .status(var view):
            view.cryptography = CipherAcceleration.describe()
            view.portMapping = network.portMappingView
            view.counters.add(port.counters)
            view.counters.add(pump.counters)
            if let overlay { view.counters.add(overlay.counters) }
            return .status(view)
        case .netcheck(var view):
            network.complete(&view)
            return .netcheck(view)
        default: return reply
        }
    }

    /// Packets of the overlay may hold what other users of this machine send to each other in clear text. So this does not
    /// depend on the mode of the socket's file.
    static func mayAsk(_ request: AgentRequest, _ asker: ByteStream.Credentials?) -> APIError? {
        guard case .captureStart = request else { return nil }
        guard let asker, asker.uid == 0 || asker.uid == geteuid() else {
            return APIError(.refused, "only root and the agent's own user may capture")
        }
        return nil
    }

    /// Handles a request that concerns only the shell; false if the request is for the agent.
    func answered(_ request: AgentRequest, _ answer: @escaping CaptureHost.Answer) -> Bool {
        switch request {
        case .debugRebind(let request): answer(rebind(request).map { .rebound($0) })
        case .captureStart(let order):
            guard let text = order.peer else { captures.start(order, peer: nil, answer); return true }
            switch pump.core.agent.capturedPeer(text, now: loop.now) {
            case .success(let node): captures.start(order, peer: node, answer)
            case .failure(let error): answer(.failure(error))
            }
        case .captureRead(let number): captures.read(number.capture, answer)
        case .captureStop(let number): captures.stop(number.capture, answer)
        default: return false
        }
        return true
    }

    /// This node's end of datagrams to an address: what the socket is bound to, or what the kernel would choose.
    func localEnd(toward remote: SocketAddress, by socket: UInt16) -> SocketAddress? {
        guard let number = port.localPort(of: socket) else { return nil }
        if let bound = port.localAddress?.ip, !bound.isUnspecified { return SocketAddress(bound, number) }
        return sourceAddress(toward: remote).map { SocketAddress($0, number) }
    }

    private func rebind(_ request: RebindSockets) -> Result<RebindView, APIError> {
        let number = request.port ?? 0
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
            "sockets opened again",
            metadata: [
                "before": "\(before.map(String.init(describing:)) ?? "?")",
                "now": "\(port.localAddress.map(String.init(describing:)) ?? "?")",
            ])
        network.portMoved(from: before)
        return .success(RebindView(address: port.localAddress, before: before))
    }
}
