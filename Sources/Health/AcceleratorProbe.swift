import Base
package import Wire

/// # How a node's accelerators are probed
///
/// A probe defines what to run and what the output means; it runs nothing. The shell spawns the command with a deadline,
/// collects standard output, and hands it in with the exit status (128 + n for signal n). The shell reports a tool that never
/// answers.
package enum AcceleratorProbe: Hashable, Sendable {
    /// The machine has no accelerators, or they are not probed.
    case none
    /// nvidia-smi at a path, with the arguments that print its XML report.
    case nvidia(path: String = "/usr/bin/nvidia-smi", arguments: [String] = NvidiaSMI.arguments)
    /// A command that implements `AcceleratorContract`.
    case exec(command: [String])
    /// A trace file; see `ReplayTrace`.
    case replay(path: String)

    /// Program and arguments; empty where there is nothing to run.
    package var command: [String] {
        switch self {
        case .none, .replay: []
        case .nvidia(let path, let arguments): [path] + arguments
        case .exec(let command): command
        }
    }

    /// The file to read once instead of running a command.
    package var tracePath: String? {
        switch self {
        case .none, .nvidia, .exec: nil
        case .replay(let path): path
        }
    }

    /// The devices that the output of one run states. For `.replay` the output is the trace file and the result is its start;
    /// the shell keeps a `ReplayTrace` to play it.
    package func parse(output: [UInt8], exitStatus: Int32) throws(HealthError) -> [AcceleratorStatus] {
        switch self {
        case .none: []
        case .nvidia: try NvidiaSMI.parse(output, exitStatus: exitStatus)
        case .exec: try AcceleratorContract.parse(output, exitStatus: exitStatus)
        case .replay: try ReplayTrace(parsing: output).devices(at: .zero)
        }
    }

    /// The devices known before, after a run that ended with an error: they keep their identity and lose their readings. A
    /// device that the tool called lost has failed. The state of the others is unknown, and unknown is never failed.
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
            // On a machine with one card it is clear which one is lost.
            if case .deviceLost(nil) = error.reason, last.count == 1 { device.verdict = .failed }
            return device
        }
    }
}
