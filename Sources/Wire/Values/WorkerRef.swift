import Base

/// One run of one worker: the name that people use, and a number that rises with each new run of that name.
package struct WorkerRef: Hashable, Comparable, Sendable, Codable {
    package var name: String
    package var generation: UInt64

    package init(_ name: String, generation: UInt64) {
        self.name = name
        self.generation = generation
    }

    package static func < (a: WorkerRef, b: WorkerRef) -> Bool {
        a.name == b.name ? a.generation < b.generation : a.name < b.name
    }
}

extension WorkerRef: CustomStringConvertible {
    package var description: String { "\(name)/\(generation)" }
}
