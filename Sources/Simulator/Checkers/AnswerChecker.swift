import Base
import Control

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
        case .processStarted, .processEnded, .launchFailed, .filesRemoved, .spun, .held, .silenced, .receivedAgain,
            .snapshot, .overlay:
            break
        }
        return []
    }
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        open.map { "command \($0) (\(methods[$0] ?? "")) has no answer" }
    }
}
