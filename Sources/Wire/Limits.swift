package import Base

/// Every maximum of the protocol, with the arithmetic that gives it. Nothing that an unauthenticated peer sends may exceed one.
package enum Limits {
    /// Bytes of one datagram on a path of unknown size. Nested tunnels leave 1124 bytes for an IP packet (tailscale#7706).
    /// The headers of IPv6 and UDP (48) and of a relayed datagram (12) are subtracted.
    package static let datagramBytes = 1064
    /// Bytes of a datagram that are read at all; a longer one is dropped as `oversized`.
    package static let receivedDatagramBytes = 65_535
    /// A certificate: fixed part 142, name 63, site 63, labels 16 x 2 x 64. It must fit in a handshake datagram (1064 -
    /// 104 of IK's first message - 32 of MACs - 12 of payload).
    package static let certificateBytes = 900
    package static let nameBytes = 63
    package static let labels = 16
    package static let labelBytes = 63
    /// Bytes of all labels of a node together, with two bytes more than name and value for each. A certificate has this
    /// room with the longest name and site.
    package static let labelsBytes = 600
    /// One control message: a desired state of a thousand workers of a few hundred bytes each, with a reserve.
    package static let controlMessageBytes = 4 << 20
    /// One unreliable message inside a session; a heartbeat is one.
    package static let messageBytes = 1000
    package static let heartbeatBytes = 64
    /// Sessions that a node keeps, and how many of them may belong to peers that have shown no certificate.
    package static let sessions = 65_536
    /// The low bits of a session's index are its slot in a table, and those above are a random tag. A session has up to
    /// four indices, one for each keypair.
    package static let sessionSlotBits: UInt32 = 18
    package static let sessionSlotMask: UInt32 = 1 << sessionSlotBits - 1
    package static let anonymousSessions = 256
    package static let anonymousSessionLife = Interval.seconds(30)
    /// Handshakes answered for one source address: a bucket (WireGuard's, section 5.3 of its paper).
    package static let handshakesPerSecond: UInt64 = 20
    package static let handshakeBurst: UInt64 = 5
    /// Source addresses remembered by that bucket.
    package static let handshakeSources = 4096
    /// Handshakes in a second, over all sources, above which a cookie is required.
    package static let handshakesUnloaded: UInt64 = 512
    /// Addresses kept for one peer.
    package static let addressesPerPeer = 16
    /// Relays with which a node keeps allocations, and which it announces to its peers. Two fail at once only if the
    /// cause is common.
    package static let homeRelays = 2
    /// Ports at which one node takes datagrams over TCP.
    package static let tcpPorts = 4
    /// Host names of a controller, in tokens and memberships.
    package static let namesPerController = 4
    /// Nodes that one relay serves.
    package static let relayAllocations = 65_536
    package static let directoryEntries = 65_536
    /// Overlay addresses that a node asks for, or remembers to have no owner: at most 1024 questions in five seconds.
    package static let overlayRequested = 1024
    /// Packets that wait for one session, and bytes of all that wait.
    package static let overlayWaitingPackets = 32
    package static let overlayWaitingBytes = 512 << 10
    /// Flows with peers of other applications that are remembered: 32 bytes each.
    package static let overlayFlows = 16_384
    /// The longest time of a server for measuring, and the number of such servers at once. Then the number of peers'
    /// streams that have not named their service yet.
    package static let benchSeconds = 120
    package static let benchServers = 2
    package static let benchGuests = 4
    /// Measurements that this node's users are beginning.
    package static let benchJobs = 16
    package static let workerArguments = 1024
    /// Half of Linux's MAX_ARG_STRLEN, since the launch file holds the same bytes again.
    package static let workerCommandBytes = 64 << 10
    package static let workersPerNode = 4096
    /// One answer to a log request.
    package static let logChunkBytes = 64 << 10
    package static let acceleratorsPerNode = 256
    package static let disksPerNode = 64
}
