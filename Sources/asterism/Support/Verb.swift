import ArgumentParser
import Control
import Foundation

/// A verb that asks the fleet. Errors of the fleet become failures with their exit status.
protocol Verb: ParsableCommand {
    var common: Common { get }
    func perform() throws
}

extension Verb {
    func run() throws {
        do {
            try perform()
        } catch let error as APIError {
            throw Failure(error)
        } catch let error as JSONRPCError {
            throw Failure(error.apiError)
        }
    }

    var terminal: Terminal { .standardOutput() }

    /// Prints the answer as JSON where that was requested, else as the text that `text` makes of the view.
    func show<View: Decodable>(_ answer: Answer<View>, _ text: (View) -> String) throws {
        if common.json {
            writeOut(try JSONText.document(try answer.json))
        } else {
            writeOut(text(try answer.view()))
        }
    }

    /// A table with a line below that states whose view it is.
    func showTable<View: Decodable>(
        _ answer: Answer<[View]>, from link: Link, none: String, _ table: ([View]) -> Table
    ) throws {
        try show(answer) { views in
            (views.isEmpty ? none + "\n" : table(views).render(terminal)) + source(link)
        }
    }

    /// The program that answered, for people; scripts use JSON.
    func source(_ link: Link) -> String {
        guard let program = (try? answeringProgram(link)) ?? nil else { return "" }
        return terminal.styled("as seen by the \(program) at \(link.place.path)".printable, .faint) + "\n"
    }

    private func answeringProgram(_ link: Link) throws -> String? {
        if let program = link.place.program { return program.rawValue }
        // Both programs have this method.
        return try link.call(StatusGet()).view().program.rawValue
    }
}
