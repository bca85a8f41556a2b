/// Why a program cannot start: the option at fault, and what is wrong with it.
package struct StartError: Error, Hashable, Sendable, CustomStringConvertible {
    package var option: String
    package var message: String

    package init(_ option: String, _ message: String) {
        self.option = option
        self.message = message
    }

    package var description: String { "\(option): \(message)" }

    /// What `body` gives; what it throws is `option`'s fault.
    package static func of<Value: ~Copyable>(
        _ option: String, _ body: () throws(FileError) -> Value
    ) throws(StartError) -> Value {
        do throws(FileError) { return try body() } catch { throw StartError(option, error.description) }
    }
}
