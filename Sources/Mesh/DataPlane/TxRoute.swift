package import Base
package import Noise

/// Where and how packets to one peer go: keys of one epoch, and the path of the moment. Made by `Endpoint`, used by
/// `TxPath` alone from then on.
package final class TxRoute {
    let peer: Int
    let remoteIndex: UInt32
    let key: CipherKey
    let address4: OverlayKey?
    let address6: OverlayKey?
    /// Replies of this peer to what this node sends need to be remembered: the policy does not allow everything.
    let tracksFlows: Bool
    /// After this nothing is sealed any more.
    let expiresAt: Instant
    let state: UnsafeMutablePointer<State>

    /// What changes from packet to packet. Behind a pointer, so that no access of it is checked for exclusivity.
    struct State {
        var counter: UInt64 = 0
        var remote: SocketAddress
        /// Bytes of UDP payload that the path carries.
        var datagramBytes: Int
        var traffic = Traffic()
    }

    package init(
        peer: Int, remoteIndex: UInt32, key: consuming CipherKey, address4: IPAddress?, address6: IPAddress?,
        remote: SocketAddress, datagramBytes: Int, tracksFlows: Bool, expiresAt: Instant
    ) {
        self.peer = peer
        self.remoteIndex = remoteIndex
        self.key = key
        self.address4 = address4.map { OverlayKey($0) }
        self.address6 = address6.map { OverlayKey($0) }
        self.tracksFlows = tracksFlows
        self.expiresAt = expiresAt
        state = .allocate(capacity: 1)
        state.initialize(to: State(remote: remote, datagramBytes: datagramBytes))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }
}

/// What has passed under one epoch's keys in one direction since the last report.
struct Traffic {
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    var lastAt = Instant.origin
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
            peer: peer, isInward: isInward, packets: packets, bytes: bytes, lastAt: lastAt, counter: counter)
    }
}

/// Keys of one epoch to open packets with, whose packets they are, and what they may carry.
package final class RxEntry {
    package let index: UInt32
    let peer: Int
    let key: CipherKey
    let address4: OverlayKey?
    let address6: OverlayKey?
    let policy: PeerPolicy
    let expiresAt: Instant
    let state: UnsafeMutablePointer<State>

    struct State: ~Copyable {
        var window = ReplayWindow()
        var highest: UInt64 = 0
        var remote: SocketAddress
        var isConfirmed: Bool
        var traffic = Traffic()

        init(remote: SocketAddress, isConfirmed: Bool) {
            self.remote = remote
            self.isConfirmed = isConfirmed
        }
    }

    package init(
        index: UInt32, peer: Int, key: consuming CipherKey, address4: IPAddress?, address6: IPAddress?,
        policy: PeerPolicy, remote: SocketAddress, isConfirmed: Bool, expiresAt: Instant
    ) {
        self.index = index
        self.peer = peer
        self.key = key
        self.address4 = address4.map { OverlayKey($0) }
        self.address6 = address6.map { OverlayKey($0) }
        self.policy = policy
        self.expiresAt = expiresAt
        state = .allocate(capacity: 1)
        state.initialize(to: State(remote: remote, isConfirmed: isConfirmed))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }
}
