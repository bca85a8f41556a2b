import Base
import Control
import EventLoop
import Glibc

/// Collects the errors of several options, so that all are reported at once.
package struct StartProblems {
    package private(set) var all: [StartError] = []

    package init() {}

    package mutating func add(_ error: StartError) { all.append(error) }

    /// The result of `body`; `nil` where it throws, and the error is kept.
    package mutating func attempt<Value>(_ body: () throws(StartError) -> Value) -> Value? {
        do throws(StartError) { return try body() } catch {
            all.append(error)
            return nil
        }
    }

    /// The results of `body` for each value of an option that may be repeated; each error is kept with its index.
    package mutating func each<Value>(
        _ option: String, _ texts: [String], _ body: (String) throws(StartError) -> Value
    ) -> [Value] {
        texts.enumerated().compactMap { index, text in
            do throws(StartError) { return try body(text) } catch {
                add(StartError(option, error.message, error.status, index: index))
                return nil
            }
        }
    }
}
