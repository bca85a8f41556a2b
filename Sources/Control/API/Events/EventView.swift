package import Base

package struct EventView: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case nodeEnrolled, nodeRefused, nodeOnline, nodeSuspect, nodeOffline, nodeLeft, nodeRestarted
        case verdictChanged, verdictsHeld, verdictsReleased
        case tokenCreated, tokenRevoked
        case workerRequested, workerStopRequested, workerRemoved, workerChanged
        case certificateRenewed, nodeChanged
        case clockDiffers, clockAgrees
    }
    /// Rises by one with each event of the fleet.
    package var id: UInt64
    package let at: UnixTime
    package let kind: Kind
    package var node: NodeID?
    package private(set) var nodeName: String?
    package private(set) var worker: String?
    package private(set) var message: String
}

extension EventView: SchemaDescribed {
    package static let schema = Schema.object(
        "Event",
        [
            "id": .count, "at": .time, "kind": .choice(of: EventView.Kind.self), "node?": .node, "nodeName?": .text,
            "worker?": .text, "message": .text,
        ])
}
