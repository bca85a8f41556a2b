/// What an agent counts, from the start of its process; the mesh counts for itself.
struct AgentCounters: Hashable, Sendable {
    var heartbeatsSent = 0
    var heartbeatsAnswered = 0
    var reportsSent = 0
    /// Messages of the controller that cannot be read.
    var messagesUnreadable = 0
    /// Messages that only an agent sends, or that nobody asked for.
    var messagesUnexpected = 0
    /// Streams that somebody else than the controller opened, and that said nothing that is listened to.
    var streamsRefused = 0
    /// Servers for measuring that were opened for peers.
    var benchesServed = 0
    var desiredApplied = 0
    var desiredKnown = 0
    var desiredOfOtherBase = 0
    var desiredTooEarly = 0
    var enrolmentsRefused = 0
    /// Certificates that do not prove what they should.
    var certificatesRefused = 0
    var membershipUnreadable = 0
    var uplinksLost = 0

    var all: [CounterView] {
        [
            ("heartbeatsSent", heartbeatsSent), ("heartbeatsAnswered", heartbeatsAnswered),
            ("reportsSent", reportsSent), ("messagesUnreadable", messagesUnreadable),
            ("messagesUnexpected", messagesUnexpected), ("streamsRefused", streamsRefused),
            ("benchesServed", benchesServed),
            ("desiredApplied", desiredApplied), ("desiredKnown", desiredKnown),
            ("desiredOfOtherBase", desiredOfOtherBase), ("desiredTooEarly", desiredTooEarly),
            ("enrolmentsRefused", enrolmentsRefused), ("certificatesRefused", certificatesRefused),
            ("membershipUnreadable", membershipUnreadable), ("uplinksLost", uplinksLost),
        ].map { CounterView(name: $0.0, count: $0.1) }
    }
}
