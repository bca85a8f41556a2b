import Base
package import Control
import EventLoop
import Glibc

/// Why a program ends without having started: lines for a person, and the status.
package struct StartFailure: Error, Hashable, Sendable {
    package private(set) var status: ExitStatus
    package private(set) var lines: [String]

    package init(_ status: ExitStatus, _ lines: [String]) {
        self.status = status
        self.lines = lines
    }
}
