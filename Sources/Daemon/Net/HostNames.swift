package import Base
package import EventLoop
import Glibc

/// Resolves names on another thread, each name once at a time, so that a name server that is down delays nothing else.
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
