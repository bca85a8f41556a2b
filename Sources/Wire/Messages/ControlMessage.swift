package import Base

/// # Messages between agents and controllers
///
/// One stream in each session carries these, both ways, each in its own frame (`MessageChannel`). Any of them may be lost.
/// A report is the state itself, and replaces the one before. Desired state carries revisions, and is sent again to an
/// agent with an older one. Questions (`check`, `readLog`, `lookUp`) carry a number, and are asked again. So a stream may
/// break anywhere, and the next one repairs the loss.
///
/// ```
///  agent                                      controller
///    enrol, renewCertificate        ->
///                                   <-          enrolReply, certificateRenewed, certificateRefused
///    clock                         <->          clock
///    register, lookUp               ->
///                                   <-          relays, lookUpReply
///    report, goodbye                ->
///                                   <-          desired, check, readLog
///    checkReply, logChunk           ->
/// ```
package enum ControlMessage: Hashable, Sendable {
    case enrol(Enrol)
    case register(Register)
    case lookUp(LookUp)
    case report(Report)
    case checkReply(CheckReply)
    case logChunk(LogChunk)
    case goodbye(reason: String)
    /// Asks for the next certificate; with a description, for one that states it.
    case renewCertificate(NodeDescription?)
    case clock(ClockReading)

    case enrolReply(EnrolReply)
    case desired(Desired)
    case check(Check)
    case readLog(ReadLog)
    case lookUpReply(LookUpReply)
    case certificateRenewed(CertificateRenewed)
    /// Nodes that relay datagrams for others, best first for the receiver of the message.
    case relays([ControllerAddress])
    /// The answer to a `renewCertificate` whose description the controller does not accept: the certificate stays as it is.
    case certificateRefused(EnrolRefusal, text: String)
}

/// Asks for a certificate. The proof shows that the sender holds the token's secret, and binds it to this session.
package struct Enrol: Hashable, Sendable {
    /// 8 bytes.
    package var tokenID: [UInt8]
    /// 32 bytes: BLAKE2b keyed with the token's secret, over the handshake's hash and `asterism enrol`.
    package var proof: [UInt8]
    package var name: String
    package var labels: [Label]
    package var site: String
    package var addresses: [SocketAddress]
    /// The sender's wall clock.
    package var clock: UnixTime?

    package init(
        tokenID: [UInt8], proof: [UInt8], name: String, labels: [Label] = [], site: String = "",
        addresses: [SocketAddress] = [], clock: UnixTime? = nil
    ) {
        self.tokenID = tokenID
        self.proof = proof
        self.name = name
        self.labels = labels
        self.site = site
        self.addresses = addresses
        self.clock = clock
    }
}

/// What a node states of itself, and its certificate then confirms.
package struct NodeDescription: Hashable, Sendable {
    /// `nil`: the name that it has.
    package var name: String?
    package var site: String
    /// Sorted by name, no name twice.
    package var labels: [Label]

    package init(name: String? = nil, site: String = "", labels: [Label] = []) {
        self.name = name
        self.site = site
        self.labels = labels
    }
}

/// What the sender's wall clock shows.
package struct ClockReading: Hashable, Sendable {
    package var clock: UnixTime
    /// The receiver must answer with its own clock.
    package var expectsReply: Bool

    package init(_ clock: UnixTime, expectsReply: Bool) {
        self.clock = clock
        self.expectsReply = expectsReply
    }
}

/// Why a node was not admitted.
package enum EnrolRefusal: String, Hashable, Sendable, Codable, CaseIterable {
    case unknownToken
    case wrongProof
    case expired
    case usedUp
    case nameTaken
    case badName
    case badLabel
}

package enum EnrolReply: Hashable, Sendable {
    case admitted(Admission)
    case refused(EnrolRefusal, text: String)
}

/// What makes a node a member of a fleet: its signed certificate, who may sign, and where the controllers are.
package struct Admission: Hashable, Sendable {
    /// An encoded `SignedCertificate`.
    package var certificate: [UInt8]
    /// Ed25519 public keys of 32 bytes: the authorities of which signatures are accepted.
    package var authorities: [[UInt8]]
    package var controllers: [ControllerAddress]
    /// The network of the fleet's IPv4 overlay addresses.
    package var overlayNetwork: IPPrefix?
    /// The controller's wall clock, to which the certificate's times refer.
    package var clock: UnixTime?

    package init(
        certificate: [UInt8], authorities: [[UInt8]], controllers: [ControllerAddress],
        overlayNetwork: IPPrefix? = nil, clock: UnixTime? = nil
    ) {
        self.certificate = certificate
        self.authorities = authorities
        self.controllers = controllers
        self.overlayNetwork = overlayNetwork
        self.clock = clock
    }
}

/// Where a controller or a relay is.
package struct ControllerAddress: Hashable, Sendable {
    package var node: NodeID
    package var addresses: [SocketAddress]
    /// Ports at the same hosts where it takes datagrams over TCP, best first.
    package var tcpPorts: [UInt16]
    /// Names that resolve to it. Only the shell can resolve them.
    package var names: [HostPort]

    package init(node: NodeID, addresses: [SocketAddress], tcpPorts: [UInt16] = [], names: [HostPort] = []) {
        self.node = node
        self.addresses = addresses
        self.tcpPorts = tcpPorts
        self.names = names
    }

    /// All paths to it, UDP first.
    package var paths: [PathAddress] { addresses.map { PathAddress($0) } + tcpPaths }

    private var tcpPaths: [PathAddress] {
        var hosts: [IPAddress] = []
        for address in addresses where !hosts.contains(address.ip) && hosts.count < 4 { hosts.append(address.ip) }
        return tcpPorts.flatMap { port in hosts.map { .tcp(SocketAddress($0, port)) } }
    }
}

/// An entry for the directory: where this node can be reached. A later one replaces it.
package struct Register: Hashable, Sendable {
    package var addresses: [SocketAddress]
    /// Its allocations at relays.
    package var relays: [RelayedAddress]
    /// Where it takes datagrams over TCP, if it is a beacon.
    package var tcpPorts: [UInt16]

    package init(addresses: [SocketAddress], relays: [RelayedAddress] = [], tcpPorts: [UInt16] = []) {
        self.addresses = addresses
        self.relays = relays
        self.tcpPorts = tcpPorts
    }
}

/// The details behind a heartbeat. A part that is `nil` has not changed since the controller acknowledged its digest.
package struct Report: Hashable, Sendable {
    package var sequence: UInt64
    package var health: HealthReport?
    package var workers: WorkersReport?
    package var agentVersion: String
    package var containment: Containment?

    package init(sequence: UInt64, agentVersion: String) {
        self.sequence = sequence
        self.agentVersion = agentVersion
    }
}

package struct HealthReport: Hashable, Sendable {
    /// `HealthReport.digest(...)` of what follows, as the sender computed it.
    package var digest: UInt64
    package var host: HostStatus?
    package var accelerators: [AcceleratorStatus]

    /// Computes the digest.
    package init(host: HostStatus?, accelerators: [AcceleratorStatus]) {
        self.init(digest: 0, host: host, accelerators: accelerators)
        digest = fingerprint
    }
    package init(digest: UInt64, host: HostStatus?, accelerators: [AcceleratorStatus]) {
        self.digest = digest
        self.host = host
        self.accelerators = accelerators
    }
}

package struct WorkersReport: Hashable, Sendable {
    package var digest: UInt64
    /// All of them, sorted by name and generation.
    package var workers: [WorkerStatus]

    /// Computes the digest.
    package init(_ workers: [WorkerStatus]) {
        self.init(digest: 0, workers)
        digest = fingerprint
    }
    package init(digest: UInt64, _ workers: [WorkerStatus]) {
        self.digest = digest
        self.workers = workers
    }
}

/// The answer to `Check`: nothing is wrong where `problems` is empty.
package struct CheckReply: Hashable, Sendable {
    package var operation: UInt64
    package var problems: [SpecProblem]

    package init(operation: UInt64, problems: [SpecProblem]) {
        self.operation = operation
        self.problems = problems
    }
}

/// A piece of a worker's log, from `offset` on.
package struct LogChunk: Hashable, Sendable {
    package var operation: UInt64
    package var worker: String
    /// Where `bytes` begin, counted from the worker's first byte; later than asked for if that part has been rotated away.
    package var offset: Int64
    package var bytes: [UInt8]
    package var nextOffset: Int64
    /// Nothing will come after `nextOffset`: the worker has ended.
    package var isFinal: Bool
    package var problem: String?

    package init(
        operation: UInt64, worker: String, offset: Int64, bytes: [UInt8], nextOffset: Int64, isFinal: Bool,
        problem: String? = nil
    ) {
        self.operation = operation
        self.worker = worker
        self.offset = offset
        self.bytes = bytes
        self.nextOffset = nextOffset
        self.isFinal = isFinal
        self.problem = problem
    }
}

/// The state that a node should have, or an edit of it.
package struct Desired: Hashable, Sendable {
    package var revision: UInt64
    /// The revision that this is an edit of. It is 0 for the whole set: workers that it does not name are to be
    /// removed.
    package var baseRevision: UInt64
    package var upserts: [DesiredWorker]
    /// Names of workers to end and forget.
    package var removals: [String]

    package init(revision: UInt64, baseRevision: UInt64 = 0, upserts: [DesiredWorker], removals: [String] = []) {
        self.revision = revision
        self.baseRevision = baseRevision
        self.upserts = upserts
        self.removals = removals
    }
}

package struct DesiredWorker: Hashable, Sendable {
    package var worker: WorkerRef
    package var spec: WorkerSpec
    /// False: it is to be ended, and its record kept.
    package var run: Bool
    /// The command that last changed this.
    package var operation: String

    package init(_ worker: WorkerRef, spec: WorkerSpec, run: Bool, operation: String) {
        self.worker = worker
        self.spec = spec
        self.run = run
        self.operation = operation
    }
}

/// Asks the node whether it could run this: is the user there, is the binary.
package struct Check: Hashable, Sendable {
    package var operation: UInt64
    package var worker: WorkerRef
    package var spec: WorkerSpec

    package init(operation: UInt64, worker: WorkerRef, spec: WorkerSpec) {
        self.operation = operation
        self.worker = worker
        self.spec = spec
    }
}

package struct ReadLog: Hashable, Sendable {
    package var operation: UInt64
    package var worker: String
    /// Negative: that many bytes before the end.
    package var offset: Int64
    package var limit: Int64

    package init(operation: UInt64, worker: String, offset: Int64, limit: Int64) {
        self.operation = operation
        self.worker = worker
        self.offset = offset
        self.limit = limit
    }
}

/// How a node is identified in a look-up.
package enum LookUp: Hashable, Sendable {
    case node(NodeID)
    /// The node that has this overlay address.
    case address(IPAddress)
    case name(String)
}

/// No node: none has that address or name. No addresses: the directory does not know the node, or has received nothing
/// from it for too long.
package struct LookUpReply: Hashable, Sendable {
    package var asked: LookUp
    /// The node that was looked for.
    package var node: NodeID?
    package var addresses: [SocketAddress]
    package var relays: [RelayedAddress]
    /// An encoded `SignedCertificate`.
    package var certificate: [UInt8]?

    package init(
        _ asked: LookUp, node: NodeID?, addresses: [SocketAddress] = [], relays: [RelayedAddress] = [],
        certificate: [UInt8]? = nil
    ) {
        self.asked = asked
        self.node = node
        self.addresses = addresses
        self.relays = relays
        self.certificate = certificate
    }
}

package struct CertificateRenewed: Hashable, Sendable {
    /// An encoded `SignedCertificate`.
    package var certificate: [UInt8]
    package var authorities: [[UInt8]]
    package var overlayNetwork: IPPrefix?
    /// The present addresses of the controllers. Empty: unchanged.
    package var controllers: [ControllerAddress]

    package init(
        certificate: [UInt8], authorities: [[UInt8]], overlayNetwork: IPPrefix? = nil,
        controllers: [ControllerAddress] = []
    ) {
        self.certificate = certificate
        self.authorities = authorities
        self.overlayNetwork = overlayNetwork
        self.controllers = controllers
    }
}
