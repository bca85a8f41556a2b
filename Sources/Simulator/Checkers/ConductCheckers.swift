import Base
import Control

// How programs behave as programs, whatever they decide.

/// A program that asks to be woken at once, and again, and again, would burn a processor in the field.
final class SpinChecker: Checker {
    let name = "busy loops"
    /// Wakes at one instant of virtual time. A burst of datagrams to one peer may ask for a few.
    static let ticksAtOnce = 1000

    func observe(_ fact: Fact, now: Instant) -> [String] {
        guard case .spun(let machine, let ticks, let reason) = fact else { return [] }
        return ["node-\(machine) asked \(ticks) times at one instant to be woken: \(reason)"]
    }
    func unsettled(_ survey: Survey, now: Instant) -> [String] { [] }
}

/// What a program holds is limited, whatever strangers send.
final class MemoryChecker: Checker {
    let name = "memory"

    func observe(_ fact: Fact, now: Instant) -> [String] {
        guard case .held(let machine, let what, let count, let limit) = fact, count > limit else { return [] }
        return ["node-\(machine) holds \(count) \(what), and \(limit) are allowed"]
    }
    func unsettled(_ survey: Survey, now: Instant) -> [String] { [] }
}

/// Every live pair that wants to can talk in the end.
final class ReachChecker: Checker {
    let name = "reachability"

    func observe(_ fact: Fact, now: Instant) -> [String] { [] }
    func unsettled(_ survey: Survey, now: Instant) -> [String] {
        survey.pairs.filter { !$0.answered }.map { "node-\($0.from) cannot reach node-\($0.to)" }
    }
}

/// A command is answered in the end, once the controller can be asked.
final class AnswerChecker: Checker {
    let name = "answers"
    private var open: [Int] = []
    private var methods = Table<Int, String>()

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .asked(let command):
            if methods[command.index] == nil { open.append(command.index) }
            methods[command.index] = command.request.method.rawValue
        case .replied(let command, _): open.removeAll { $0 == command.index }
        case .processStarted, .processEnded, .launchFailed, .filesRemoved, .spun, .held, .silenced, .heardAgain,
            .surveyed, .overlay:
            break
        }
        return []
    }
    func unsettled(_ survey: Survey, now: Instant) -> [String] {
        open.map { "command \($0) (\(methods[$0] ?? "")) has no answer" }
    }
}
