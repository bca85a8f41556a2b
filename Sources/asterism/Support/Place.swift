import Foundation

/// The socket of a program.
struct Place: Equatable {
    /// `nil` where the user named a socket without its program.
    var program: Program?
    var path: String

    var description: String { program.map { "the \($0.rawValue) at \(path)" } ?? path }
}
