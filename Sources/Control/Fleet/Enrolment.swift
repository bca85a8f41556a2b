import Base

/// An attempt to enrol.
struct Enrolment: Sendable {
    let token: TokenText
    let name: String
    /// Who waits for the outcome.
    var askers: [RequestID]
    /// `nil`: tried until it is accepted or refused.
    private(set) var giveUpAt: Instant?

    /// How often the proof was refused. It is bound to a handshake. If a handshake's second message was lost and another
    /// handshake followed, the two ends use different handshakes.
    var wrongProofs = 0

    /// When it is reported that no controller has answered; `nil`: it was reported, or a waiting caller gets the error.
    var reportAt: Instant?

    /// The controller must answer by this time. If it crashed with the question, nothing else would show it.
    var answerBy: Instant?

    static let answerPatience = Interval.seconds(5)
    static let reportAfter = Interval.seconds(10)
    /// A secret that was refused this often is wrong.
    static let wrongProofLimit = 5
    /// Patience for a person who waits at a terminal.
    static let patience = Interval.seconds(30)
}
