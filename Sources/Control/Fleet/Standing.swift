import Base
import Mesh
import Noise
import Wire

/// Whether a node belongs to a fleet.
enum Standing: Sendable {
    case unenrolled
    case enrolling(Enrolment)
    case member(Membership)

    var phase: String {
        switch self {
        case .unenrolled: "unenrolled"
        case .enrolling: "enrolling"
        case .member: "member"
        }
    }

    var membership: Membership? { if case .member(let membership) = self { membership } else { nil } }
}

/// An attempt to be let in.
struct Enrolment: Sendable {
    let token: TokenText
    let name: String
    /// Who waits for the outcome.
    var askers: [RequestID]
    /// `nil`: tried until it is accepted or refused.
    var giveUpAt: Instant?

    /// How often the proof was called wrong. It is bound to a handshake; if the second message of one was lost on the way
    /// of its confirmation and another handshake followed, the two ends have different ones in mind.
    var wrongProofs = 0

    /// When it is reported that no controller has answered; `nil`: it was, or somebody waits and is told.
    var reportAt: Instant?

    /// When the controller is to have answered. It may have died with the question, and then nothing else would show it.
    var answerBy: Instant?

    static let answerPatience = Interval.seconds(5)
    static let reportAfter = Interval.seconds(10)
    /// A secret that was called wrong so often is wrong.
    static let wrongProofLimit = 5
    /// Patience for a person who waits at a terminal.
    static let patience = Interval.seconds(30)
}

/// What a member shows and believes.
struct Membership: Sendable {
    let admission: Admission
    let credentials: Credentials
    let overlay: OverlayPlace

    var certificate: Certificate { credentials.certificate.certificate }

    /// `nil` for what cannot be read. Signatures are checked where an admission comes from the network.
    init?(_ admission: Admission) {
        guard let certificate = try? SignedCertificate(decoding: admission.certificate) else { return nil }
        var admission = admission
        // A node connects to others, never to itself.
        admission.controllers.removeAll { $0.node == certificate.certificate.node }
        let authorities = admission.authorities.compactMap { VerifyingKey($0) }
        guard !authorities.isEmpty, authorities.count == admission.authorities.count, !admission.controllers.isEmpty
        else { return nil }
        self.admission = admission
        credentials = Credentials(certificate: certificate, authorities: authorities)
        let body = certificate.certificate
        overlay = OverlayPlace(
            v4: body.overlay4Given, network4: admission.overlayNetwork,
            v6: body.overlay6,
            network6: OverlayAddress.network6(of: body.fleet))
    }

    /// Two thirds of the certificate's life are over.
    var renewalTime: UnixTime {
        let life = certificate.notAfter.milliseconds - certificate.notBefore.milliseconds
        return UnixTime(milliseconds: certificate.notBefore.milliseconds + life / 3 * 2)
    }
}

/// The way to a controller.
enum Uplink: Sendable {
    /// Nobody to connect to.
    case idle
    case waiting(until: Instant)
    case connecting(NodeID)
    /// A session, and no control stream yet; one is opened at `streamAt`.
    case connected(NodeID, PeerSession, streamAt: Instant)
    case up(ControlLink, PeerSession)

    var node: NodeID? {
        switch self {
        case .idle, .waiting: nil
        case .connecting(let node), .connected(let node, _, _): node
        case .up(let link, _): link.node
        }
    }

    var link: ControlLink? { if case .up(let link, _) = self { link } else { nil } }

    /// With whom a session is, stream or not.
    var session: (node: NodeID, session: PeerSession)? {
        switch self {
        case .idle, .waiting, .connecting: nil
        case .connected(let node, let session, _): (node, session)
        case .up(let link, let session): (link.node, session)
        }
    }

    var deadline: Deadline? {
        switch self {
        case .idle, .connecting, .up: nil
        case .waiting(let until): Deadline(until, "uplink retry")
        case .connected(_, _, let streamAt): Deadline(streamAt, "control stream")
        }
    }
}
