import Control
import Wire

/// Errors of the fleet that name fields of a specification.
protocol ProblemCarrying: Error {
    var specProblems: [SpecProblem]? { get }
}

extension APIError: ProblemCarrying {
    var specProblems: [SpecProblem]? {
        if let problems, !problems.isEmpty { return problems }
        guard code == .invalid, let field else { return nil }
        let prefix = "\(field): "
        return [SpecProblem(field, message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message)]
    }
}
