package import Base
import EventLoop
import Glibc

/// Why a host name has no address: the resolver's own message.
package struct ResolveError: Error, Hashable, Sendable {
    package private(set) var message: String
}

/// Asks the system's resolver (getaddrinfo(3)) for a host's addresses, in the resolver's order (RFC 6724). This blocks, for
/// many seconds where no name server answers.
package func resolveHost(_ host: String) -> Result<[IPAddress], ResolveError> {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
    hints.ai_flags = AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else { return .failure(ResolveError(message: String(cString: gai_strerror(code)))) }
    defer { freeaddrinfo(list) }
    var found: [IPAddress] = [], next = list
    while let entry = next {
        next = entry.pointee.ai_next
        var storage = sockaddr_storage()
        guard let address = entry.pointee.ai_addr,
            Int(entry.pointee.ai_addrlen) <= MemoryLayout.size(ofValue: storage)
        else { continue }
        memcpy(&storage, address, Int(entry.pointee.ai_addrlen))
        if let place = SocketAddress(storage), !found.contains(place.ip) { found.append(place.ip) }
    }
    return .success(found)
}
