package import Base
package import Wire

/// What an operator wants to read in a node's log: each is one line there. The core decides what is worth a line, the shell
/// writes it.
package enum AgentNotice: Hashable, Sendable {
    case joined(name: String, fleet: FleetID)
    /// A token was of no use, with the reason.
    case joinRefused(String)
    /// A token is good as a text, and no controller has answered yet.
    case joinWaiting(places: [String])
    /// A token of this node's own fleet has named other addresses.
    case controllersChanged(places: [String])
    /// A member has started, and no controller has answered since.
    case controllerAbsent(places: [String])
    case controllerLost(NodeID, ControllerLoss)
    /// `nil`: for the first time since the start.
    case controllerFound(NodeID, after: Interval?)
    case clockDiffers(own: UnixTime, controller: UnixTime)
    case clockAgrees
    /// The certificate ends soon, and no controller has renewed it.
    case certificateEnds(UnixTime)
    /// A certificate with another name, site or labels has come.
    case describedAs(NodeDescription)
    /// The controller does not accept this node's name, site or labels, with the reason.
    case descriptionRefused(String)
}

/// Why a controller is given up for the moment.
package enum ControllerLoss: String, Hashable, Sendable {
    case silent = "it does not answer"
    case ended = "the session has ended"
}

/// What the agent knows about its way to the controller, for people.
struct ControllerWatch: Sendable {
    /// When the last heartbeat was answered.
    private(set) var answeredAt: Instant?
    private(set) var lostAt: Instant?

    /// Heartbeats are sent once a second.
    static let patience = Interval.seconds(5)

    /// A member that has had no answer since its start reports that after so long.
    static let startPatience = Interval.seconds(10)

    /// Silence for so long asks for the controller's addresses again.
    static let doubt = Interval.seconds(3)

    func isSilent(for interval: Interval, now: Instant) -> Bool { answeredAt.map { now - $0 >= interval } ?? true }

    /// True if this is news.
    mutating func lost(now: Instant) -> Bool {
        guard lostAt == nil, answeredAt != nil else { return false }
        lostAt = now
        return true
    }

    /// For a member that has had no answer since its start at `start`: true once, when that has lasted.
    mutating func isAbsent(since start: Instant, now: Instant) -> Bool {
        guard answeredAt == nil, lostAt == nil, now - start >= ControllerWatch.startPatience else { return false }
        lostAt = start
        return true
    }

    enum Answer: Hashable {
        /// The first of all.
        case first
        /// The first after silence of this length.
        case again(after: Interval)
        case expected
    }

    /// A heartbeat was answered.
    mutating func answered(now: Instant) -> Answer {
        let before = answeredAt
        answeredAt = now
        let wasLost = lostAt != nil
        lostAt = nil
        guard let before else { return .first }
        guard wasLost else { return .expected }
        return .again(after: now - before)
    }
}
