package import Base
package import Wire

// What people and programs see, as JSON-RPC, HTTP and the command line show it. Times are milliseconds since 1970, and
// what is not known is absent.

/// Whether a node can be reached, as the controller judges by its heartbeats.
package enum NodeState: String, Hashable, Sendable, Codable, CaseIterable {
    /// Enrolled, and never heard of since the controller started.
    case unknown
    case online
    /// Two heartbeats were missed.
    case suspect
    /// No heartbeat for four seconds.
    case offline
    /// Said goodbye.
    case left
}

package struct NodeView: Hashable, Sendable, Codable {
    package var id: NodeID
    package var name: String
    package var site: String
    package var labels: [Label]
    package var roles: [String]
    package var state: NodeState
    package var isDraining = false
    package var address: SocketAddress?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    package var enrolledAt: UnixTime
    package var certificateExpiresAt: UnixTime
    package var lastHeartbeatAt: UnixTime?
    /// The node's clock minus the controller's; absent until the node has said what it shows.
    package var clockOffsetMilliseconds: Int64?
    package var agentVersion: String?
    package var containment: Containment?
    /// The worst of its devices and of itself.
    package var verdict = Verdict.unknown
    /// The revision of desired state that the agent works by, and the newest one.
    package var revision: UInt64 = 0
    package var desiredRevision: UInt64 = 0
    package var processorLoadPercent: Int?
    package var memoryLoadPercent: Int?
    package var acceleratorLoadPercent: Int?
    package var freeSlots: Int?
    package var workersRunning = 0
    package var workersTotal = 0
    package var accelerators = 0
    /// Only where one node was asked for.
    package var host: HostStatus?

    package init(
        id: NodeID, name: String, site: String, labels: [Label], roles: [String], state: NodeState,
        enrolledAt: UnixTime, certificateExpiresAt: UnixTime
    ) {
        self.id = id
        self.name = name
        self.site = site
        self.labels = labels
        self.roles = roles
        self.state = state
        self.enrolledAt = enrolledAt
        self.certificateExpiresAt = certificateExpiresAt
    }
}

package struct WorkerView: Hashable, Sendable, Codable {
    package enum Wish: String, Hashable, Sendable, Codable, CaseIterable {
        case run, stop
        /// In no desired state: on its way out, or found by the agent and not known.
        case none
    }
    package var name: String
    package var generation: UInt64
    package var node: NodeID?
    package var nodeName: String?
    package var wish: Wish
    /// What the agent last said; absent until it has said anything of this generation.
    package var state: WorkerState?
    /// False where the node is not online, so that `state` is old news.
    package var isCurrent = true
    package var command: [String]
    package var operation: String?
    package var pid: Int32?
    package var startedAt: UnixTime?
    package var restarts: Int64 = 0
    package var lastExit: WorkerExit?
    package var reason: String?
    package var containment: Containment?
    package var logBytes: Int64 = 0

    package init(_ worker: WorkerRef, wish: Wish, command: [String]) {
        name = worker.name
        generation = worker.generation
        self.wish = wish
        self.command = command
    }

    package mutating func take(_ status: WorkerStatus) {
        state = status.state
        pid = status.pid
        startedAt = status.startedAt
        restarts = status.restarts
        lastExit = status.lastExit
        reason = status.reason
        containment = status.containment
        logBytes = status.logBytes
    }
}

package struct TokenView: Hashable, Sendable, Codable {
    /// 16 hexadecimal digits.
    package var id: String
    package var name: String?
    package var createdAt: UnixTime
    package var expiresAt: UnixTime
    package var uses: Int
    package var used: Int
    package var isRevoked: Bool
    /// Nodes that join with it are beacons.
    package var isForBeacons: Bool
    /// The token itself: shown once, when it is made.
    package var token: String?
}

package struct EventView: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case nodeEnrolled, nodeRefused, nodeOnline, nodeSuspect, nodeOffline, nodeLeft, nodeRestarted
        case verdictChanged, verdictsHeld, verdictsReleased
        case tokenCreated, tokenRevoked
        case workerWanted, workerStopWanted, workerRemoved, workerChanged
        case certificateRenewed, nodeChanged
        case clockDiffers, clockAgrees
    }
    /// Rises by one with each event of the fleet.
    package var id: UInt64
    package var at: UnixTime
    package var kind: Kind
    package var node: NodeID?
    package var nodeName: String?
    package var worker: String?
    package var message: String
}

package struct PeerView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    package var isConnected: Bool
    package var address: SocketAddress?
    /// Whether `address` is a relay's; `false` while there is none.
    package var isRelayed: Bool
    /// The relay's name, or the first digits of its id.
    package var relay: String?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    package var roundTripMicroseconds: Int64?
    package var cipher: String?
    package var keyAgeSeconds: Int64?
    package var sinceHeardMilliseconds: Int64?
    package var bytesReceived: Int
    package var bytesSent: Int
    package var openStreams: Int
    /// Of the overlay, sealed sizes and all: what the data plane has carried.
    package var packetsReceived: Int
    package var packetsSent: Int
    package var packetBytesReceived: Int
    package var packetBytesSent: Int
    /// Whether packets for the peer would leave now, rather than wait for a session.
    package var hasRoute: Bool
    /// The largest datagram of the path, in bytes of UDP payload; absent where this node carries no packets.
    package var datagramBytes: Int?
}

/// The ways to one peer, and why data goes the way it does.
package struct PathsView: Hashable, Sendable, Codable {
    package struct Path: Hashable, Sendable, Codable {
        package var address: SocketAddress
        /// `address` is a relay's.
        package var isRelayed: Bool
        /// The relay's name, or the first digits of its id.
        package var relay: String?
        /// The peer, or the relay, is reached over TCP.
        package var isTCP: Bool
        package var isPrimary: Bool
        /// A probe was answered there, and none went unanswered for long since.
        package var isAlive: Bool
        package var roundTripMicroseconds: Int64?
        package var sinceAnsweredMilliseconds: Int64?
        package var sinceHeardMilliseconds: Int64?
        package var missed: Int
        /// It failed, and is not taken for so long.
        package var barredMilliseconds: Int64?
        package var isPunching: Bool
        /// How long ago the newest probe was sent, and what came of it: `answered`, `waiting` or `unanswered`.
        package var sinceProbedMilliseconds: Int64?
        package var probe: String?
    }
    package struct Transition: Hashable, Sendable, Codable {
        package var agoMilliseconds: Int64
        package var from: SocketAddress?
        package var fromIsRelayed: Bool
        package var fromRelay: String?
        package var fromIsTCP: Bool
        package var to: SocketAddress
        package var toIsRelayed: Bool
        package var toRelay: String?
        package var toIsTCP: Bool
        /// `first`, `better`, `faster`, `moved`, `silent`, `withdrawn` or `debug`.
        package var cause: String
        /// How long data had been in doubt, where it was.
        package var doubtMilliseconds: Int64?
    }
    package enum Kind: String, Hashable, Sendable, Codable {
        /// There is no session.
        case none
        case direct, relayed
    }

    package var node: NodeID
    package var name: String?
    package var path: Kind
    /// Why it is relayed: `trying`, `noCandidates`, `bothMappingsVary`, `ownMappingVaries`, `peerMappingVaries`, `failed`,
    /// `blocked`, `ownUDPBlocked`, `peerUDPBlocked`, `unknown` or `relayOnly`.
    package var reason: String?
    /// `unknown`, `none`, `stable`, `varies` or `blocked`: what others see of the translator before this node, and the peer.
    package var ownMapping: String
    package var peerMapping: String
    package var datagramBytes: Int?
    /// Of the path in use: the largest IP packet that it carries, as far as is known; absent where this node carries no
    /// packets of the overlay.
    package var pathMTU: Int?
    package var paths: [Path]
    /// The last 32, oldest first.
    package var transitions: [Transition]
}

package struct AcceleratorView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var nodeName: String
    package var accelerator: AcceleratorStatus
}

/// A piece of a worker's log.
package struct LogView: Hashable, Sendable, Codable {
    package var worker: String
    package var offset: Int64
    package var nextOffset: Int64
    /// Nothing will come after `nextOffset`.
    package var isFinal: Bool
    /// The bytes, in base64 (RFC 4648, section 4); a log need not be text.
    package var data: String

    package var bytes: [UInt8]? { Base64.decode(data) }
}

package struct PingView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    package var sent: Int
    /// One for each answer, in the order of their coming.
    package var roundTripsMicroseconds: [Int64]
    /// The same answers, each with the path that it came by.
    package var answers: [PingAnswer]
}

package struct PingAnswer: Hashable, Sendable, Codable {
    /// Of the ping that it answers, from 1.
    package var number: Int
    package var roundTripMicroseconds: Int64
    /// Of the path: the peer's, or a relay's.
    package var address: SocketAddress
    package var isRelayed: Bool
    /// The relay's name, or the first digits of its id.
    package var relay: String?
    /// The peer, or the relay, is reached over TCP.
    package var isTCP: Bool
}

/// A peer's server, to measure the way to it with.
package struct BenchView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    /// In the overlay.
    package var address: IPAddress
    package var tcpPort: Int
    package var udpPort: Int
    /// 32 hexadecimal digits, that this server knows and no other.
    package var token: String
    /// After so long it is gone.
    package var seconds: Int64
}

package struct CounterView: Hashable, Sendable, Codable {
    package var name: String
    package var count: Int

    package init(name: String, count: Int) {
        self.name = name
        self.count = count
    }
}

extension [CounterView] {
    /// Adds figures to those of their names, or behind all others.
    package mutating func add(_ figures: [(name: String, count: Int)]) {
        for figure in figures {
            if let known = firstIndex(where: { $0.name == figure.name }) {
                self[known].count += figure.count
            } else {
                append(CounterView(name: figure.name, count: figure.count))
            }
        }
    }
}

package struct ControllerPeerView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var addresses: [SocketAddress]
    /// Host names with ports, resolved again for each attempt.
    package var names: [String]
    package var isConnected: Bool
}

package struct ClockView: Hashable, Sendable, Codable {
    package var own: UnixTime
    package var controller: UnixTime
    /// By more than a minute.
    package var differs: Bool
}

package struct NodeClockView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String
    /// The node's clock minus the controller's.
    package var offsetMilliseconds: Int64
}

/// One program's account of itself.
package struct StatusView: Hashable, Sendable, Codable {
    package enum Program: String, Hashable, Sendable, Codable, CaseIterable {
        case agent, controller
    }
    package struct NodeCounts: Hashable, Sendable, Codable {
        package var online = 0
        package var suspect = 0
        package var offline = 0
        package var left = 0
        package var unknown = 0
    }
    package var program: Program
    package var version: String
    package var node: NodeID
    package var name: String?
    /// 32 hexadecimal digits; absent where the node belongs to no fleet yet.
    package var fleet: String?
    /// An agent's: `unenrolled`, `enrolling`, `member`. A controller's: `serving`.
    package var phase: String
    package var incarnation: UInt64
    package var startedAt: UnixTime
    package var certificateExpiresAt: UnixTime?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    /// What does AES-GCM in this process: `VAES`, or `libsodium` and why.
    package var cryptography: String?
    /// An agent's, unless it was told to ask for none.
    package var portMapping: PortMappingView?
    /// An agent's controllers.
    package var controllers: [ControllerPeerView]?
    /// An agent's: why its last token was of no use, or has not been of any yet.
    package var joinProblem: String?
    /// An agent's: since when the controller does not answer; absent while it does.
    package var controllerLostAt: UnixTime?
    /// An agent's: why the controller does not accept its name, site or labels.
    package var descriptionProblem: String?
    /// An agent's: what its own clock shows, and the controller's; absent until they were compared.
    package var clock: ClockView?
    /// A controller's: nodes whose clocks differ from its own by more than a minute, at most 20.
    package var nodeClocks: [NodeClockView]?
    package var revision: UInt64?
    package var workersActive: Int?
    package var workersTotal: Int?
    package var containment: Containment?
    package var verdict: Verdict?
    /// A controller's fleet.
    package var nodes: NodeCounts?
    /// What went right and wrong, by reason, since the program's start.
    package var counters: [CounterView]
}
