/// Which of two peers this is: the one with the lower NodeID or the other. Decides bit 0 of the ids of opened streams.
package enum StreamRole: UInt64, Sendable {
    case lower = 0
    case higher = 1

    var other: StreamRole {
        switch self {
        case .lower: .higher
        case .higher: .lower
        }
    }
}
