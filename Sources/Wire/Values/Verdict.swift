import Base

/// The state of a device or of a node, best first; `worst` of several is the maximum.
package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    case healthy
    /// Not known, because data is missing. Never read as failed.
    case unknown
    case degraded
    case failed

    package var rank: UInt8 {
        switch self {
        case .healthy: 0
        case .unknown: 1
        case .degraded: 2
        case .failed: 3
        }
    }
    package init?(rank: UInt8) {
        guard let verdict = Verdict.allCases.first(where: { $0.rank == rank }) else { return nil }
        self = verdict
    }
    package static func < (a: Verdict, b: Verdict) -> Bool { a.rank < b.rank }
}
