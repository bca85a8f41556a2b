package import Wire

/// The answer to `AgentAction.readLog`.
package struct LogRead: Hashable, Sendable {
    package private(set) var operation: UInt64
    package let worker: WorkerRef
    package let offset: Int64
    package let bytes: [UInt8]
    package let nextOffset: Int64
    /// Nothing is in the log after `nextOffset` now.
    package let isAtEnd: Bool
    package var problem: String?

    package init(
        operation: UInt64, worker: WorkerRef, offset: Int64, bytes: [UInt8], nextOffset: Int64, isAtEnd: Bool,
        problem: String? = nil
    ) {
        self.operation = operation
        self.worker = worker
        self.offset = offset
        self.bytes = bytes
        self.nextOffset = nextOffset
        self.isAtEnd = isAtEnd
        self.problem = problem
    }
}
