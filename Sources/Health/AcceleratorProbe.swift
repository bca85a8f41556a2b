import Base
package import Wire

/// # Where a node's accelerators are asked after
///
/// A probe reports what to run and what its output means; it runs nothing. The shell spawns the command with a deadline,
/// collects standard output, and hands it in with the exit status (128 + n for signal n). A tool that never answers is the
/// shell's to report.
package enum AcceleratorProbe: Hashable, Sendable {
    /// The machine has no accelerators, or nobody asks.
    case none
    /// nvidia-smi at a path, with the arguments that print its XML report.
    case nvidia(path: String = "/usr/bin/nvidia-smi", arguments: [String] = NvidiaSMI.arguments)
    /// A command that keeps `AcceleratorContract`.
    case exec(command: [String])
    /// A trace file; see `ReplayTrace`.
    case replay(path: String)

    /// Program and arguments; empty where nothing is to be run.
    package var command: [String] {
        switch self {
        case .none, .replay: []
        case .nvidia(let path, let arguments): [path] + arguments
        case .exec(let command): command
        }
    }

    /// The file to read once instead of running something.
    package var tracePath: String? {
        switch self {
        case .none, .nvidia, .exec: nil
        case .replay(let path): path
        }
    }

    /// What the output of one run reports. For `.replay` the output is the trace file and the answer its start; the shell
    /// keeps a `ReplayTrace` to play it.
    package func parse(output: [UInt8], exitStatus: Int32) throws(HealthError) -> [AcceleratorStatus] {
        switch self {
        case .none: []
        case .nvidia: try NvidiaSMI.parse(output, exitStatus: exitStatus)
        case .exec: try AcceleratorContract.parse(output, exitStatus: exitStatus)
        case .replay: try ReplayTrace(parsing: output).devices(at: .zero)
        }
    }

    /// What is left of the devices known before, once a run has given an error: they exist, their readings do not. A
    /// device that the tool called lost has failed; of the others nothing is known, and unknown is never failed.
    package static func devices(after error: HealthError, last: [AcceleratorStatus]) -> [AcceleratorStatus] {
        last.map { known in
            var device = AcceleratorStatus(vendor: known.vendor, index: known.index)
            device.uuid = known.uuid
            device.model = known.model
            device.serial = known.serial
            device.pciAddress = known.pciAddress
            device.driverVersion = known.driverVersion
            device.evidence = [error.description]
            if case .deviceLost(let address?) = error.reason, address == known.pciAddress { device.verdict = .failed }
            // A machine with one card has no doubt which is lost.
            if case .deviceLost(nil) = error.reason, last.count == 1 { device.verdict = .failed }
            return device
        }
    }
}
