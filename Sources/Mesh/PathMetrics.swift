import Base
package import Wire

/// # Metrics of paths
///
/// Three things whose frequency a fleet needs to know: how long data had been in doubt when it was moved to
/// another path, how much of it goes over relays, and the results of hole punching, by the NATs of the two nodes. All are
/// counters with names. Dots divide the parts of a name, so that an exporter can make labels of them.
package struct PathMetrics: Hashable, Sendable {
    /// Upper ends of the buckets, in milliseconds. A failover is expected to last 0.2 to 0.4 s, so the buckets are narrow
    /// there.
    package static let failoverBounds = [50, 100, 150, 200, 250, 300, 350, 400, 500, 750, 1000, 2000, 5000]
    /// By bucket; the last holds failovers that lasted longer than any bound.
    package private(set) var failovers = [Int](repeating: 0, count: failoverBounds.count + 1)
    /// The sum of all of them.
    package private(set) var failoverMilliseconds = 0
    /// This node's own datagrams over relays, in sealed bytes without relay headers: sent and received.
    package internal(set) var relayedBytesSent = 0
    package internal(set) var relayedBytesReceived = 0
    private var punches = [Int](repeating: 0, count: PathMetrics.kinds.count)

    package init() {}

    /// How a direct path was found, or tried.
    package enum Method: String, Hashable, Sendable, CaseIterable {
        /// Both ends sent to the addresses that the other has reported.
        case punchProbes
        /// Ports were predicted in addition.
        case prediction
    }

    /// The circumstances of a hole punch, and its result.
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

    /// In a fixed order; of punches only kinds that occurred, since there are many.
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
