import Control
import Foundation

/// The commands of systemd that an installation uses. Every command is printed.
struct Services {
    let report: InstallReport

    /// Whether systemd runs this machine: sd_booted(3).
    static var isRunning: Bool { access("/run/systemd/system", F_OK) == 0 }

    /// Runs a command that must succeed.
    func run(_ words: String...) throws(Failure) {
        let result = try Subprocess.run(words)
        guard result.status == 0 else {
            let lines = result.output.split(separator: "\n").map(String.init)
            throw Failure(.refused, ["\(words.joined(separator: " ")): exit status \(result.status)"] + lines)
        }
        report.step("ran", words.joined(separator: " "))
    }

    func isActive(_ unit: String) -> Bool {
        (try? Subprocess.run(["systemctl", "is-active", "--quiet", unit]))?.status == 0
    }
}
