import Base
import OrderedCollections
import Wire

/// # Questions to agents
///
/// A request that only an agent can answer becomes a question with a number. It is asked again on each new control stream,
/// and is answered once: by the agent, or by the end of its time.
struct Questions {
    private var questions = OrderedDictionary<UInt64, Question>()
    private var next: UInt64 = 1

    private static let limit = 10_000
    private static let patience = Interval.seconds(5)

    // Questions are asked in the order of their deadlines.
    var deadline: Deadline? { questions.values.first.map { Deadline($0.deadline, "an agent's answer") } }

    /// Puts a question that an agent is to answer in time. `message` makes it of the question's number.
    mutating func ask(
        _ kind: Question.Kind, _ slot: Int, _ id: RequestID, core: inout ControllerCore, now: Instant,
        into out: inout ControllerOutbox, message: (UInt64) -> ControlMessage
    ) {
        let entry = core.registry[slot]
        guard entry.isReachable else {
            let text = "node '\(entry.name)' is \(entry.state.rawValue)"
            return out.refuse(id, APIError(.unavailable, text, field: "node"))
        }
        guard questions.count < Questions.limit else {
            return out.refuse(id, APIError(.limit, "too many requests wait for agents"))
        }
        let number = next
        next += 1
        let message = message(number)
        guard core.send(message, to: slot) else {
            return out.refuse(id, APIError(.unavailable, "node '\(entry.name)' does not read what is sent to it"))
        }
        questions[number] = Question(
            kind, slot, message, asker: id, deadline: now + Questions.patience)
    }

    /// On a new stream: what was on its way in the old one is lost. Of an answer that comes twice the second is ignored.
    func askAgain(_ slot: Int, core: inout ControllerCore) {
        for question in questions.values where question.slot == slot {
            guard core.send(question.message, to: slot) else { return }
        }
    }

    /// The question that an agent answers; `nil` where it was not asked, or not this.
    mutating func take(_ number: UInt64, from slot: Int, where isMeant: (Question.Kind) -> Bool) -> Question? {
        guard let question = questions[number], question.slot == slot, isMeant(question.kind) else { return nil }
        return questions.removeValue(forKey: number)
    }

    mutating func expire(core: borrowing ControllerCore, now: Instant, into out: inout ControllerOutbox) {
        while let (number, question) = questions.elements.first, question.deadline <= now {
            questions.removeValue(forKey: number)
            let name = core.registry[question.slot].name, seconds = Questions.patience.seconds
            let text = "node '\(name)' did not answer within \(seconds) s; nothing was changed"
            for asker in question.askers { out.refuse(asker, APIError(.timeout, text, field: "node")) }
        }
    }

    // MARK: - Workers that are being started

    /// A repeated request for an operation that an agent is already asked about: the answer goes to both. False where
    /// no agent is asked.
    mutating func join(operation: String, _ id: RequestID) -> Bool {
        for (number, question) in questions.elements {
            guard case .check(let worker) = question.kind, worker.operation == operation else { continue }
            questions[number]?.add(id)
            return true
        }
        return false
    }

    /// Whether an agent is asked about a worker of that name.
    func isStarting(_ name: String) -> Bool {
        questions.values.contains { question in
            if case .check(let worker) = question.kind { worker.worker.name == name } else { false }
        }
    }
}
