package import Base
package import EventLoop
import Glibc

/// Why a host name has no address: the resolver's own words.
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

/// Resolves names on another thread, each name once at a time, so that a name server that is down holds nobody up.
package final class HostNames {
    private let resolver: Blocking
    private var waiting: Set<HostPort> = []
    private var problems: [HostPort: String] = [:]

    package init(on loop: Loop) { resolver = Blocking(on: loop, "names of controllers") }

    package func close() { resolver.close() }

    /// Why the last look-up of a name failed.
    package func problem(of name: HostPort) -> String? { problems[name] }

    /// `then` gets the name's addresses, or none. A name that is being looked up already is not looked up twice.
    package func resolve(_ names: [HostPort], then: @escaping (HostPort, [IPAddress]) -> Void) {
        for name in names where waiting.insert(name).inserted {
            resolver.run({ resolveHost(name.host) }) { [weak self] result in
                guard let self else { return }
                waiting.remove(name)
                switch result {
                case .success(let addresses):
                    problems[name] = addresses.isEmpty ? "the name has no address" : nil
                    then(name, addresses)
                case .failure(let error):
                    problems[name] = error.message
                    then(name, [])
                }
            }
        }
    }
}
