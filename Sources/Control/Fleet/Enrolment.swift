import Base

/// An attempt to be let in.
struct Enrolment: Sendable {
    let token: TokenText
    let name: String
    /// Who waits for the outcome.
    var askers: [RequestID]
    /// `nil`: tried until it is accepted or refused.
    private(set) var giveUpAt: Instant?

    /// How often the proof was called wrong. It is bound to a handshake; if the second message of one was lost on the way
    /// of its confirmation and another handshake followed, the two ends have different ones in mind.
    var wrongProofs = 0

    /// When it is reported that no controller has answered; `nil`: it was, or somebody waits and is informed.
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
