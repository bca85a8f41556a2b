import Base
package import Wire

/// # How well paths do
///
/// Three things whose frequency a fleet needs to know: how long data had been in doubt when it was moved to
/// another path, how much of it goes over relays, and what came of punching, by what is before the two nodes. All are
/// figures with names, as all that is counted; a name's parts are divided by dots, so that anyone who needs labels makes them
/// of it.
package struct PathMetrics: Hashable, Sendable {
    /// Upper ends of the buckets, in milliseconds. A failover is to take 0.2 to 0.4 s, so they are narrow there.
    package static let failoverBounds = [50, 100, 150, 200, 250, 300, 350, 400, 500, 750, 1000, 2000, 5000]
    /// By bucket; the last holds what needed longer than any bound.
    package private(set) var failovers = [Int](repeating: 0, count: failoverBounds.count + 1)
    /// Of all of them together.
    package private(set) var failoverMilliseconds = 0
    /// Of this node's own datagrams: what it has sent and received over relays, sealed, without what a relay adds.
    package internal(set) var relayedBytesSent = 0
    package internal(set) var relayedBytesReceived = 0
    private var punches = [Int](repeating: 0, count: PathMetrics.kinds.count)

    package init() {}

    /// How a way was found, or sought.
    package enum Method: String, Hashable, Sendable, CaseIterable {
        /// Both ends sent to where the other reported that it is.
        case punchProbes
        /// Ports were predicted on top.
        case prediction
    }

    /// What punching was about, and what came of it.
    package struct Punch: Hashable, Sendable {
        package let own: NATMapping
        package let peer: NATMapping
        package let method: Method
        package let isDirect: Bool

        package init(own: NATMapping, peer: NATMapping, method: Method, isDirect: Bool) {
            self.own = own
            self.peer = peer
            self.method = method
            self.isDirect = isDirect
        }
    }

    private static let kinds: [Punch] = NATMapping.allCases.flatMap { own in
        NATMapping.allCases.flatMap { peer in
            Method.allCases.flatMap { method in
                [true, false].map { Punch(own: own, peer: peer, method: method, isDirect: $0) }
            }
        }
    }

    package subscript(punch: Punch) -> Int {
        // `kinds` holds every one.
        punches[PathMetrics.kinds.firstIndex(of: punch)!]
    }

    mutating func failedOver(_ elapsed: Interval) {
        let milliseconds = Int(elapsed.milliseconds)
        let bucket = PathMetrics.failoverBounds.firstIndex { milliseconds <= $0 }
        failovers[bucket ?? PathMetrics.failoverBounds.count] += 1
        failoverMilliseconds += milliseconds
    }

    mutating func ended(_ punch: Punch) { punches[PathMetrics.kinds.firstIndex(of: punch)!] += 1 }

    /// In a fixed order; of punches only those that there were, since there are many kinds.
    var all: [(name: String, count: Int)] {
        let bounds = PathMetrics.failoverBounds.map(String.init) + ["more"]
        return zip(bounds, failovers).map { ("failovers.\($0)", $1) }
            + [
                ("failoverMilliseconds", failoverMilliseconds), ("relayedBytes.sent", relayedBytesSent),
                ("relayedBytes.received", relayedBytesReceived),
            ]
            + zip(PathMetrics.kinds, punches).filter { $1 > 0 }.map { kind, count in
                let result = kind.isDirect ? "direct" : "failed"
                return ("punches.\(kind.own).\(kind.peer).\(kind.method.rawValue).\(result)", count)
            }
    }
}
