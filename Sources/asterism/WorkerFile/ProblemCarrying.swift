import Control
import Wire

/// Errors of the fleet that name fields of a specification.
protocol ProblemCarrying: Error {
    var specProblems: [SpecProblem]? { get }
}

extension WorkerSpec {
    /// The problems, with quantities in the units in which people write them and not those of the specification.
    func problemsAsWritten() -> [SpecProblem] {
        problems().map { problem in
            switch problem.field {
            case "limits.memory":
                SpecProblem(problem.field, "must be at least 1MiB, not \(Units.size(limits.memoryBytes ?? 0))")
            case "limits.cpu":
                SpecProblem(problem.field, "must be at least 0.01, not \(Units.thousandths(limits.cpuMillicores ?? 0))")
            case "log.maxSize":
                SpecProblem(problem.field, "must be at least 4KiB, not \(Units.size(log.maxFileBytes))")
            default: problem
            }
        }
    }
}

extension APIError: ProblemCarrying {
    var specProblems: [SpecProblem]? {
        if let problems, !problems.isEmpty { return problems }
        guard code == .invalid, let field else { return nil }
        let prefix = "\(field): "
        return [SpecProblem(field, message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message)]
    }
}
