import Base
import Control
import EventLoop
import Glibc
import Logging
import Wire

// The port of the node, and what changes while it runs.

extension AgentDaemon {
    /// Applies what can change at run time: the node's name, site and labels, the policy, and the STUN servers. The rest of
    /// `new` has no effect.
    package func reload(_ new: Settings) {
        let before = description(settings), after = description(new)
        (settings.name, settings.isNameChosen) = (new.name, new.isNameChosen)
        (settings.site, settings.labels) = (new.site, new.labels)
        if before != after { handle(.reconfigured(after)) }
        if new.policy != settings.policy {
            settings.policy = new.policy
            pump { $0.setPolicy(new.policy, now: $1, into: &$2) }
        }
        if new.stun != settings.stun {
            settings.stun = new.stun
            surveys.use(new.stun)
        }
    }

    /// A name by default, the host's, does not replace the enrolled one.
    private func description(_ settings: Settings) -> NodeDescription {
        NodeDescription(
            name: settings.isNameChosen ? settings.name : nil, site: settings.site,
            labels: settings.labels.map { Label($0.name, $0.value) }.sorted { $0.name < $1.name })
    }

    /// The UDP port. Where it is not configured and is in use, any free one: members need no fixed port.
    func openPort(_ onReceive: @escaping (inout DatagramBatch) -> Void) throws(StartError) -> MeshPort {
        let address = settings.listen
        func open(_ address: SocketAddress) throws(Errno) -> MeshPort {
            try MeshPort(on: loop, bind: address, joinsDatagrams: overlay != nil, onReceive: onReceive)
        }
        do throws(Errno) { return try open(address) } catch {
            guard error.code == EADDRINUSE, !settings.isListenFixed else {
                throw StartError.port(.udp, "--listen", address, error)
            }
            let why = PortHolder.message(.udp, address)
            do throws(Errno) {
                let port = try open(SocketAddress(address.ip, 0))
                log.notice(
                    "the default port is in use; any free one serves as well",
                    metadata: ["listen": "\(port.localAddress ?? address)", "reason": "\(why)"])
                return port
            } catch { throw StartError.port(.udp, "--listen", address, error) }
        }
    }
}
