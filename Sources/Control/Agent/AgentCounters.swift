import OrderedCollections

/// What an agent counts, from the start of its process; the mesh counts for itself.
struct AgentCounters: Hashable, Sendable {
    /// In the order in which they are shown. The names are those of the API.
    enum Counter: String, Hashable, Sendable, CaseIterable {
        case heartbeatsSent
        case heartbeatsAnswered
        case reportsSent
        /// Messages of the controller that cannot be read.
        case messagesUnreadable
        /// Messages that only an agent sends, or that were not requested.
        case messagesUnexpected
        /// Streams that a node other than the controller opened, and that no service accepted.
        case streamsRefused
        /// Servers for measuring that were opened for peers.
        case benchesServed
        case desiredApplied
        case desiredKnown
        case desiredOfOtherBase
        case desiredTooEarly
        case enrolmentsRefused
        /// Certificates that do not prove what they should.
        case certificatesRefused
        case membershipUnreadable
        case uplinksLost
    }

    private var counts = OrderedDictionary<Counter, Int>()

    mutating func add(_ counter: Counter, _ count: Int = 1) { counts[counter, default: 0] += count }

    var views: [CounterView] { Counter.allCases.map { CounterView(name: $0.rawValue, count: counts[$0] ?? 0) } }
}
