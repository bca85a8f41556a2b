import Control
import Logging

// How the fleet's events read in the controller's log.

extension EventView.Kind {
    var level: Logger.Level {
        switch self {
        case .nodeOffline, .nodeRefused, .verdictsHeld, .clockDiffers: .warning
        case .nodeEnrolled, .nodeOnline, .nodeLeft, .nodeRestarted, .nodeChanged, .verdictChanged, .verdictsReleased,
            .clockAgrees:
            .notice
        case .nodeSuspect, .tokenCreated, .tokenRevoked, .workerRequested, .workerStopRequested, .workerRemoved,
            .workerChanged, .certificateRenewed:
            .info
        }
    }

    var title: String {
        switch self {
        case .nodeEnrolled: "node enrolled"
        case .nodeRefused: "node refused"
        case .nodeOnline: "node online"
        case .nodeSuspect: "node suspect"
        case .nodeOffline: "node offline"
        case .nodeLeft: "node left"
        case .nodeRestarted: "agent restarted"
        case .nodeChanged: "node changed"
        case .verdictChanged: "health changed"
        case .verdictsHeld: "nodes are not declared offline"
        case .verdictsReleased: "nodes are declared offline again"
        case .tokenCreated: "token created"
        case .tokenRevoked: "token revoked"
        case .workerRequested: "worker requested"
        case .workerStopRequested: "worker stop requested"
        case .workerRemoved: "worker removed"
        case .workerChanged: "worker changed"
        case .certificateRenewed: "certificate renewed"
        case .clockDiffers: "clock differs"
        case .clockAgrees: "clock agrees"
        }
    }
}
