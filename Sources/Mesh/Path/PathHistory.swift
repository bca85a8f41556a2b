/// The last changes of the primary, and which of them were not reported to the layer above.
struct PathHistory: Sendable {
    private static let limit = 32

    private(set) var transitions: [PathSet.Transition] = []
    private var unreported = 0

    mutating func append(_ transition: PathSet.Transition) {
        if transitions.count >= PathHistory.limit { transitions.removeFirst() }
        transitions.append(transition)
        unreported += 1
    }

    /// Transitions since the last call.
    mutating func takeNews() -> ArraySlice<PathSet.Transition> {
        defer { unreported = 0 }
        return transitions.suffix(unreported)
    }
}
