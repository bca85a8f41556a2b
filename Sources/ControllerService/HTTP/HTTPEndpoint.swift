package import Base
package import Daemon
import EventLoop
import Glibc

/// # Where HTTP is served
///
/// The HTTP API has no authentication yet: anyone who can connect to it runs commands as root on every node. A unix socket
/// has owner, group and mode, so that the kernel decides who can connect. A TCP port has no such protection, and one of
/// loopback is open to every user of the machine. It is therefore served only with `--http-insecure`.
package enum HTTPEndpoint: Hashable, Sendable {
    case unix(path: String)
    case tcp(SocketAddress)

    /// `off`, which is nil, `unix:/path` or `IP:PORT`.
    package static func parse(_ text: String, isInsecure: Bool) throws(StartError) -> HTTPEndpoint? {
        if text == "off" { return nil }
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            guard path.hasPrefix("/"), !path.hasSuffix("/") else {
                throw StartError("--http", "'\(text)' has no absolute path of a socket; write unix:/PATH")
            }
            return .unix(path: path)
        }
        guard let address = SocketAddress(text) else {
            throw StartError("--http", "'\(text)' is none of off, unix:/PATH, IP:PORT and [IPv6]:PORT")
        }
        guard isInsecure else {
            throw StartError(
                "--http",
                "\(address) is refused: the HTTP API has no authentication yet, and anyone who can connect runs "
                    + "commands as root on every node, also other users of this machine; use unix:/PATH, or "
                    + "--http-insecure to accept that")
        }
        return .tcp(address)
    }
}

extension HTTPEndpoint: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let address): address.description
        }
    }
}
