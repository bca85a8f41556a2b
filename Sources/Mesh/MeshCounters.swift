/// What an endpoint counts. Numbers only grow, from the start of the process.
package struct MeshCounters: Sendable {
    package private(set) var datagramsReceived = 0
    package private(set) var datagramsSent = 0
    package private(set) var bytesReceived = 0
    package private(set) var bytesSent = 0
    package private(set) var handshakesStarted = 0
    package private(set) var handshakesAnswered = 0
    package private(set) var sessionsEstablished = 0
    package private(set) var rekeys = 0
    package private(set) var probesSent = 0
    /// Peers whose ports were predicted, and datagrams that were sent for it.
    package private(set) var predictions = 0
    package private(set) var predictionProbesSent = 0
    package internal(set) var paths = PathMetrics()
    /// Changes of the path that data takes, by their cause.
    private var switches = [Int](repeating: 0, count: PathSet.Cause.allCases.count)
    private var drops = [Int](repeating: 0, count: DropReason.allCases.count)

    package init() {}

    package func switches(_ cause: PathSet.Cause) -> Int { switches[PathSet.Cause.allCases.firstIndex(of: cause)!] }
    mutating func switched(_ change: PathSet.Transition) {
        switches[PathSet.Cause.allCases.firstIndex(of: change.cause)!] += 1
        if let elapsed = change.elapsed { paths.failedOver(elapsed) }
    }

    mutating func received(bytes: Int) {
        datagramsReceived += 1
        bytesReceived += bytes
    }
    mutating func sent(bytes: Int) {
        datagramsSent += 1
        bytesSent += bytes
    }
    mutating func startedHandshake() { handshakesStarted += 1 }
    mutating func answeredHandshake() { handshakesAnswered += 1 }
    mutating func establishedSession() { sessionsEstablished += 1 }
    mutating func renewedSession() { rekeys += 1 }
    mutating func sentProbes(_ count: Int) { probesSent += count }
    mutating func startedPrediction() { predictions += 1 }
    mutating func sentPredictionProbe() { predictionProbesSent += 1 }

    package subscript(reason: DropReason) -> Int { drops[reason.ordinal] }
    package mutating func drop(_ reason: DropReason, count: Int = 1) { drops[reason.ordinal] += count }

    /// All figures with their names, in a fixed order; drops are named `dropped.<reason>`.
    package var all: [(name: String, count: Int)] {
        [
            ("datagramsReceived", datagramsReceived), ("datagramsSent", datagramsSent),
            ("bytesReceived", bytesReceived), ("bytesSent", bytesSent), ("handshakesStarted", handshakesStarted),
            ("handshakesAnswered", handshakesAnswered), ("sessionsEstablished", sessionsEstablished),
            ("rekeys", rekeys), ("probesSent", probesSent),
            ("predictions", predictions), ("predictionProbesSent", predictionProbesSent),
        ] + PathSet.Cause.allCases.map { ("pathSwitches.\($0.rawValue)", switches($0)) }
            + paths.all + DropReason.allCases.map { ("dropped.\($0.rawValue)", self[$0]) }
    }
}
