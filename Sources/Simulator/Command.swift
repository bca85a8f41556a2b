package import Control

/// An operator's command. One that is repeated keeps its operation.
package struct Command: Sendable {
    package var index: Int
    package var request: ControllerRequest
    /// It names a node or worker that does not exist, and must be refused.
    package var isNonsense: Bool
    package var isEnd: Bool {
        switch request {
        case .workersStop, .workersRemove: true
        default: false
        }
    }
    /// The operation's name, where the request has one.
    package var operation: String? {
        switch request {
        case .workersRun(let run): run.operation
        case .workersStop(let stop): stop.operation
        case .workersRemove(let remove): remove.operation
        default: nil
        }
    }
}
