/// Whether a node belongs to a fleet.
enum Standing: Sendable {
    case unenrolled
    case enrolling(Enrolment)
    case member(Membership)

    var phase: StatusView.Phase {
        switch self {
        case .unenrolled: .unenrolled
        case .enrolling: .enrolling
        case .member: .member
        }
    }

    var membership: Membership? { if case .member(let membership) = self { membership } else { nil } }
}
