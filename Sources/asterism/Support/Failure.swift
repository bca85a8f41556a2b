import ArgumentParser
import Control
import Foundation
import Wire

/// Why a verb was not done: one line or several, all of the same status.
struct Failure: Error, Equatable {
    var status: ExitStatus
    var lines: [String]

    init(_ status: ExitStatus, _ lines: [String]) {
        self.status = status
        self.lines = lines
    }
    init(_ status: ExitStatus, _ line: String) { self.init(status, [line]) }

    init(_ error: APIError) {
        self.init(ExitStatus(error.code), error.lines)
    }
}
