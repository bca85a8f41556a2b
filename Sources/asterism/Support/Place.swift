import Foundation

/// Where a program can be asked.
struct Place: Equatable {
    /// `nil` where the person named a socket without reporting whose.
    var program: Program?
    var path: String

    var description: String { program.map { "the \($0.rawValue) at \(path)" } ?? path }
}
