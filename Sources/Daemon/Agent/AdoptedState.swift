import Control

extension Control.AdoptedWorker.State {
    init(_ found: AdoptedWorker.State) {
        switch found {
        case .starting: self = .starting
        case .running(let start):
            self = .running(pid: start.pid, startedAt: start.at, containment: start.containment)
        case .exited(let end): self = .exited(end.exit, logBytes: end.logBytes)
        case .launchFailed(let problem): self = .launchFailed(problem)
        case .lost(let at): self = .lost(at: at)
        case .vanished: self = .vanished
        case .unknown: self = .unknown
        case .neverStarted: self = .neverStarted
        }
    }
}
