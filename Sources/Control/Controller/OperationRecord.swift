package import Wire

/// A command that was done, so that it is not done again when it is sent again.
package struct OperationRecord: Hashable, Sendable {
    /// In the order in which they were done.
    package var number: UInt64
    /// The caller's name for it.
    package var operation: String
    package let worker: WorkerRef

    package init(number: UInt64, operation: String, worker: WorkerRef) {
        self.number = number
        self.operation = operation
        self.worker = worker
    }
}
