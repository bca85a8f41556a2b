package import Base
package import Wire

/// # What a controller keeps on disk
///
/// The controller decides in memory and tells its shell what to write, row by row. All changes of one `persist` belong to
/// one transaction, and whatever stands behind a `persist` in the outbox (a reply, a datagram) happens only after it is
/// durable. What agents report is not kept: agents are the truth about it, and say it again.
package enum StoreChange: Hashable, Sendable {
    /// Numbers that only rise.
    case counters(StoredCounters)
    case node(NodeRecord)
    case token(TokenRecord)
    case worker(PlacementRecord)
    case removeWorker(name: String)
    case operation(OperationRecord)
    /// Operations up to and with this number are forgotten.
    case forgetOperations(through: UInt64)
    case event(EventView)
}

package struct StoredCounters: Hashable, Sendable {
    /// Of the next certificate.
    package var serial: UInt64 = 1
    /// Of the next run of any worker. One row for all names, so that a name that was removed and comes again never meets
    /// a generation of its own past.
    package var generation: UInt64 = 1
    /// Of the next remembered operation.
    package var operation: UInt64 = 1
    /// Of the next node's IPv4 overlay address, counted from the network's first one. The controller has 1.
    package var overlay: UInt64 = OverlayPool.firstOfNodes
    /// The network that those are counted in; `nil` in what was kept before there was one.
    package var overlayNetwork: IPPrefix?

    package init() {}
}

/// A member of the fleet.
package struct NodeRecord: Hashable, Sendable {
    package var node: NodeID
    package var certificate: SignedCertificate
    package var enrolledAt: UnixTime
    /// The token that it came with, in hexadecimal digits.
    package var token: String
    /// Of its desired state.
    package var revision: UInt64

    package init(node: NodeID, certificate: SignedCertificate, enrolledAt: UnixTime, token: String, revision: UInt64) {
        self.node = node
        self.certificate = certificate
        self.enrolledAt = enrolledAt
        self.token = token
        self.revision = revision
    }
}

package struct TokenRecord: Hashable, Sendable {
    /// 8 bytes.
    package var id: [UInt8]
    /// 32 bytes. Not a hash of it: the proof is keyed with it.
    package var secret: [UInt8]
    package var name: String?
    package var createdAt: UnixTime
    package var expiresAt: UnixTime
    package var uses: Int
    package var used: Int
    package var isRevoked: Bool
    /// Who joins with it is a beacon: it may carry datagrams for others.
    package var isForBeacons: Bool

    package init(
        id: [UInt8], secret: [UInt8], name: String?, createdAt: UnixTime, expiresAt: UnixTime, uses: Int,
        used: Int = 0, isRevoked: Bool = false, isForBeacons: Bool = false
    ) {
        self.id = id
        self.secret = secret
        self.name = name
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.uses = uses
        self.used = used
        self.isRevoked = isRevoked
        self.isForBeacons = isForBeacons
    }
}

/// A worker that somebody wants, to run or to be ended.
package struct PlacementRecord: Hashable, Sendable {
    package var node: NodeID
    package var desired: DesiredWorker

    package init(node: NodeID, desired: DesiredWorker) {
        self.node = node
        self.desired = desired
    }
}

/// A command that was done, so that it is not done again when it is said again.
package struct OperationRecord: Hashable, Sendable {
    /// In the order in which they were done.
    package var number: UInt64
    /// The caller's name for it.
    package var operation: String
    package var worker: WorkerRef

    package init(number: UInt64, operation: String, worker: WorkerRef) {
        self.number = number
        self.operation = operation
        self.worker = worker
    }
}

/// What the shell reads back when the controller starts.
package struct StoredState: Hashable, Sendable {
    package var counters = StoredCounters()
    package var nodes: [NodeRecord] = []
    package var tokens: [TokenRecord] = []
    package var workers: [PlacementRecord] = []
    /// By rising number.
    package var operations: [OperationRecord] = []
    /// The newest ones, by rising id.
    package var events: [EventView] = []

    package init() {}
}
