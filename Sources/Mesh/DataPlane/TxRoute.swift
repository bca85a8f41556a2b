package import Base
package import Noise
import Synchronization
package import Wire

/// Where and how packets to one peer are sent: keys of one keypair, and the current path. `Endpoint` makes it, and then one
/// `TxPath` alone uses it; others, on other threads, get a `sibling` each.
// Sendable because it has one user at a time, and all state shared with its siblings is atomic or constant.
package final class TxRoute: @unchecked Sendable {
    let peer: Int
    let remoteIndex: UInt32
    let address4: OverlayKey?
    let address6: OverlayKey?
    /// After this nothing is sealed any more.
    let expiresAt: Instant
    private let counters: Counters
    let state: UnsafeMutablePointer<State>

    /// What changes from packet to packet. Behind a pointer, so that accesses are not checked for exclusivity.
    struct State: ~Copyable {
        var key: CipherKey
        var remote: PathAddress
        /// The second path for all packets, while `remote` is in doubt.
        var second: PathAddress?
        /// Bytes of UDP payload that the path carries.
        var datagramBytes: Int
        /// Replies of this peer to what this node sends need to be remembered: the policy does not allow everything.
        var tracksFlows: Bool
        var traffic = Traffic()
    }

    /// Each number is given out once under one key, to whichever thread asks; otherwise the cipher would be broken.
    private final class Counters: Sendable {
        let next = Atomic<UInt64>(0)
    }

    /// The first of `count` consecutive numbers that are used nowhere else under this key.
    @inline(__always)
    func takeCounters(_ count: Int) -> UInt64 {
        counters.next.wrappingAdd(UInt64(truncatingIfNeeded: count), ordering: .relaxed).oldValue
    }

    /// How many have been given out.
    var countersTaken: UInt64 { counters.next.load(ordering: .relaxed) }

    /// The same keys and path for another thread.
    package func sibling() -> TxRoute { TxRoute(self) }

    private init(_ route: TxRoute) {
        (peer, remoteIndex) = (route.peer, route.remoteIndex)
        (address4, address6) = (route.address4, route.address6)
        (expiresAt, counters) = (route.expiresAt, route.counters)
        let now = route.state
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(
                key: now.pointee.key.copy(), remote: now.pointee.remote, second: now.pointee.second,
                datagramBytes: now.pointee.datagramBytes, tracksFlows: now.pointee.tracksFlows))
    }

    package init(
        peer: Int, remoteIndex: UInt32, key: consuming CipherKey, address4: IPAddress?, address6: IPAddress?,
        remote: PathAddress, datagramBytes: Int, tracksFlows: Bool, expiresAt: Instant
    ) {
        self.peer = peer
        self.remoteIndex = remoteIndex
        self.address4 = address4.map { OverlayKey($0) }
        self.address6 = address6.map { OverlayKey($0) }
        self.expiresAt = expiresAt
        counters = Counters()
        state = .allocate(capacity: 1)
        state.initialize(to: State(key: key, remote: remote, datagramBytes: datagramBytes, tracksFlows: tracksFlows))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }
}

/// What has passed under one keypair's keys in one direction since the last report.
struct Traffic {
    var packets: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    var relayedBytes: UInt64 = 0
    private(set) var lastAt = Instant.origin
    private var isReported = true

    /// True if it is the first since the last report.
    @inline(__always)
    mutating func count(bytes count: Int, now: Instant) -> Bool {
        bytes &+= UInt64(count)
        lastAt = now
        let isFirst = isReported
        isReported = false
        return isFirst
    }

    mutating func take(peer: Int, isInward: Bool, counter: UInt64 = 0) -> DataPlaneActivity {
        defer { self = Traffic() }
        return DataPlaneActivity(
            peer: peer, isInward: isInward, packets: packets, bytes: bytes, lastAt: lastAt, counter: counter,
            relayedBytes: relayedBytes)
    }
}
