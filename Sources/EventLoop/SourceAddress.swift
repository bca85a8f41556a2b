package import Base
import CLinux
import Glibc

/// The address of this machine from which the kernel sends to another one; nil where there is no route.
package func sourceAddress(toward remote: SocketAddress) -> IPAddress? {
    guard let socket = try? FileDescriptor.socket(remote.family, .datagram) else { return nil }
    let (storage, count) = remote.storage
    let isConnected = withUnsafeBytes(of: storage) { bytes in
        connect(socket.raw, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), count) == 0
    }
    guard isConnected else { return nil }
    let number = socket.raw
    return (try? address("getsockname") { getsockname(number, $0, $1) })?.ip
}
