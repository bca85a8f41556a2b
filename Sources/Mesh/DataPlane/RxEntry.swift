package import Base
package import Noise
import Synchronization
package import Wire

/// Keys of one keypair to open packets with, the peer that they belong to, and what that may send.
// Sendable because its mutable state is accessed under `exclusively` wherever more than one thread has it.
package final class RxEntry: @unchecked Sendable {
    package let index: UInt32
    let peer: Int
    let address4: OverlayKey?
    let address6: OverlayKey?
    let expiresAt: Instant
    let state: UnsafeMutablePointer<State>
    private let lock = Mutex(())

    /// Threads with one socket each get packets of one peer at the same time only while the peer moves, or while an attacker
    /// imitates a move.
    @inline(__always)
    func exclusively<Value>(_ isShared: Bool, _ body: () -> Value) -> Value {
        guard isShared else { return body() }
        lock._unsafeLock()
        defer { lock._unsafeUnlock() }
        return body()
    }

    struct State: ~Copyable {
        var key: CipherKey
        var window = ReplayWindow()
        var highest: UInt64 = 0
        /// The sources of the newest packets and of those before: a peer in doubt sends on two paths at once.
        var remote: PathAddress
        var other: PathAddress
        var isConfirmed: Bool
        /// A new set of rules replaces it while the keys live.
        var policy: PeerPolicy
        var traffic = Traffic()

        init(key: consuming CipherKey, remote: PathAddress, isConfirmed: Bool, policy: PeerPolicy) {
            self.key = key
            self.remote = remote
            other = remote
            self.isConfirmed = isConfirmed
            self.policy = policy
        }
    }

    package init(
        index: UInt32, peer: Int, key: consuming CipherKey, address4: IPAddress?, address6: IPAddress?,
        policy: PeerPolicy, remote: PathAddress, isConfirmed: Bool, expiresAt: Instant
    ) {
        self.index = index
        self.peer = peer
        self.address4 = address4.map { OverlayKey($0) }
        self.address6 = address6.map { OverlayKey($0) }
        self.expiresAt = expiresAt
        state = .allocate(capacity: 1)
        state.initialize(to: State(key: key, remote: remote, isConfirmed: isConfirmed, policy: policy))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
    }
}
