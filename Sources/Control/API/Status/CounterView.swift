package struct CounterView: Hashable, Sendable, Codable {
    package var name: String
    package var count: Int

    package init(name: String, count: Int) {
        self.name = name
        self.count = count
    }
}

extension [CounterView] {
    /// Adds figures to those of the same names; new names are appended.
    package mutating func add(_ figures: [(name: String, count: Int)]) {
        for figure in figures {
            if let known = firstIndex(where: { $0.name == figure.name }) {
                self[known].count += figure.count
            } else {
                append(CounterView(name: figure.name, count: figure.count))
            }
        }
    }
}

extension CounterView: SchemaDescribed {
    package static let schema = Schema.object(
        "Counter",
        ["name": .text, "count": .count])
}
