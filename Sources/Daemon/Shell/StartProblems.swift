import Base
import Control
import EventLoop
import Glibc

/// Collects what is wrong with several options, so that all of it is reported at once.
package struct StartProblems {
    package private(set) var all: [StartError] = []

    package init() {}

    package mutating func add(_ error: StartError) { all.append(error) }

    /// What `body` gives; `nil` where it throws, which is kept.
    package mutating func attempt<Value>(_ body: () throws(StartError) -> Value) -> Value? {
        do throws(StartError) { return try body() } catch {
            all.append(error)
            return nil
        }
    }

    /// What `body` makes of each value of an option that may be repeated; each failure is kept with its place.
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
