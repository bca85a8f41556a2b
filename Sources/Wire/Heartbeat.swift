package import Base

/// A node's heartbeat: once a second, unreliable, 47 bytes. It holds what is needed each second, and fingerprints of
/// the rest, so that details are sent only when they have changed.
///
/// ```
/// kind 1 (=1) | state 1 | incarnation 8 | sequence 4 | revision 8
/// cpu 1 | memory 1 | accelerators 1 | free slots 2 | verdict 1 | containment 1 | reserved 2
/// details fingerprint 8 | workers fingerprint 8
/// ```
///
/// Loads are per cent, 255 where unknown.
package struct Heartbeat: Hashable, Sendable {
    package static let size = 47
    package static let unknownLoad: UInt8 = 255

    package var state: NodePhase
    /// Drawn at each start of the agent's process; a lower sequence under a new incarnation is no replay.
    package var incarnation: UInt64
    package var sequence: UInt32
    /// The revision of desired state that the agent has applied.
    package var revision: UInt64
    package var processorLoad: UInt8 = unknownLoad
    package var memoryLoad: UInt8 = unknownLoad
    package var acceleratorLoad: UInt8 = unknownLoad
    /// How many more workers the node accepts.
    package var freeSlots: UInt16 = 0
    package var worst = Verdict.unknown
    package var hasCgroups = false
    /// Of host facts and accelerators.
    package var details: UInt64 = 0
    /// Of the list of worker statuses.
    package var workers: UInt64 = 0

    package init(state: NodePhase, incarnation: UInt64, sequence: UInt32, revision: UInt64) {
        self.state = state
        self.incarnation = incarnation
        self.sequence = sequence
        self.revision = revision
    }

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        guard try reader.uint8("kind") == MessageKind.heartbeat.rawValue else {
            throw DecodeError(.invalidValue, "kind", at: 0)
        }
        guard let state = NodePhase(rawValue: try reader.uint8("state")) else {
            throw DecodeError(.invalidValue, "state", at: 1)
        }
        self.state = state
        incarnation = try reader.uint64("incarnation")
        sequence = try reader.uint32("sequence")
        revision = try reader.uint64("revision")
        processorLoad = try reader.uint8("cpu")
        memoryLoad = try reader.uint8("memory")
        acceleratorLoad = try reader.uint8("accelerators")
        freeSlots = try reader.uint16("free slots")
        guard let worst = Verdict(rank: try reader.uint8("verdict")) else {
            throw DecodeError(.invalidValue, "verdict", at: reader.offset)
        }
        self.worst = worst
        hasCgroups = try reader.uint8("containment") == 1
        try reader.skip(2, "reserved")
        details = try reader.uint64("details")
        workers = try reader.uint64("workers")
        try reader.expectEnd("heartbeat")
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: Heartbeat.size)
        writer.uint8(MessageKind.heartbeat.rawValue)
        writer.uint8(state.rawValue)
        writer.uint64(incarnation)
        writer.uint32(sequence)
        writer.uint64(revision)
        writer.uint8(processorLoad)
        writer.uint8(memoryLoad)
        writer.uint8(acceleratorLoad)
        writer.uint16(freeSlots)
        writer.uint8(worst.rank)
        writer.uint8(hasCgroups ? 1 : 0)
        writer.zeros(2)
        writer.uint64(details)
        writer.uint64(workers)
        return writer.bytes
    }
}

/// The controller's answer to a heartbeat, 37 bytes: the revision of desired state, and the fingerprints of what it
/// knows. An agent that reads another fingerprint than its own sends a report.
///
/// ```
/// kind 1 (=2) | incarnation 8 | sequence 4 | revision 8 | details 8 | workers 8
/// ```
package struct HeartbeatAck: Hashable, Sendable {
    package static let size = 37

    package var incarnation: UInt64
    package var sequence: UInt32
    /// The newest revision of this node's desired state.
    package var revision: UInt64
    package var details: UInt64
    package var workers: UInt64

    package init(answering heartbeat: Heartbeat, revision: UInt64, details: UInt64, workers: UInt64) {
        incarnation = heartbeat.incarnation
        sequence = heartbeat.sequence
        self.revision = revision
        self.details = details
        self.workers = workers
    }

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        guard try reader.uint8("kind") == MessageKind.heartbeatAck.rawValue else {
            throw DecodeError(.invalidValue, "kind", at: 0)
        }
        incarnation = try reader.uint64("incarnation")
        sequence = try reader.uint32("sequence")
        revision = try reader.uint64("revision")
        details = try reader.uint64("details")
        workers = try reader.uint64("workers")
        try reader.expectEnd("heartbeat ack")
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: HeartbeatAck.size)
        writer.uint8(MessageKind.heartbeatAck.rawValue)
        writer.uint64(incarnation)
        writer.uint32(sequence)
        writer.uint64(revision)
        writer.uint64(details)
        writer.uint64(workers)
        return writer.bytes
    }
}

/// The first byte of an unreliable message.
package enum MessageKind: UInt8, Hashable, Sendable, CaseIterable {
    case heartbeat = 1
    case heartbeatAck = 2
}

/// The phase of a node, as it reports it.
package enum NodePhase: UInt8, Hashable, Sendable, CaseIterable {
    case running = 1
    /// Accepts no new workers; running workers continue.
    case draining = 2
    /// Leaves the fleet now; no more traffic should be routed to it.
    case leaving = 3
}
