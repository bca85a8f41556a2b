import Base
import EventLoop
import Glibc
import Logging

extension MeshPort {
    /// The agent's UDP port. Where its number is not configured and is in use, any free one: members need no fixed port.
    static func open(
        on loop: Loop, at address: SocketAddress, isFixed: Bool, joinsDatagrams: Bool, log: Logger,
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(StartError) -> MeshPort {
        func open(_ address: SocketAddress) throws(Errno) -> MeshPort {
            try MeshPort(on: loop, bind: address, joinsDatagrams: joinsDatagrams, onReceive: onReceive)
        }
        do throws(Errno) { return try open(address) } catch {
            guard error.code == EADDRINUSE, !isFixed else {
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
