import Foundation
import Testing

/// # Machines that boot systemd
///
/// The script `lab` makes them; its head describes how. A lab is one process that reads its standard input: it ends, with
/// everything in it, when this process closes the other end or dies. Machines are named; the n-th has the address
/// 10.99.0.n. A test that fails prints the journals of its machines.
final class Lab {
    let folder: String
    private(set) var machines: [Machine] = []
    private let child: Child
    private let input: Int32

    static let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "lab").path()

    /// Where the packages lie: asterism-agent.deb and asterism-controller.deb, as systemd/build-deb makes them.
    static let packages = ProcessInfo.processInfo.environment["ASTERISM_DEBS"]

    /// Why there is no lab here; `nil` where there is one. Makes the base system where it is missing, a minute's work.
    static let obstacle: String? = {
        guard let packages else { return "needs ASTERISM_DEBS, a folder of packages made by systemd/build-deb" }
        for name in ["asterism-agent", "asterism-controller"] where access("\(packages)/\(name).deb", R_OK) != 0 {
            return "needs \(packages)/\(name).deb, made by systemd/build-deb"
        }
        do {
            let check = try Child.run([script, "check"], seconds: 20)
            guard check.status == 0 else { return check.trimmed }
            let base = try Child.run([script, "base"], seconds: 600)
            guard base.status == 0 else { return "needs Debian's archive: \(base.errors)" }
        } catch { return "\(error)" }
        return nil
    }()
    /// Prints the reason once where it is not.
    static let isPossible: Bool = {
        if let obstacle { print("systemd tests are skipped: \(obstacle)") }
        return obstacle == nil
    }()

    private init() throws {
        folder = try temporaryFolder("lab")
        var ends: [Int32] = [0, 0]
        // A pipe that no other child inherits: pipe2(2) is behind a feature macro.
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Fault("socketpair: \(String(cString: strerror(errno)))")
        }
        defer { close(ends[0]) }
        input = ends[1]
        let (output, errors) = ("\(folder).out", "\(folder).err")
        child = try Child([Lab.script, "keep", folder], input: ends[0], output: output, errors: errors)
        try eventually("a lab", within: 30, text(errors)) { text(output) == "ready\n" }
    }

    private func remove() {
        close(input)
        if child.wait(seconds: 30) == nil {
            kill(child.pid, SIGKILL)
            _ = child.wait(seconds: 10)
            _ = try? Child.run([Lab.script, "clean", folder], seconds: 30)
        }
        for path in ["\(folder).out", "\(folder).err"] { unlink(path) }
    }

    /// Runs `body` with booted machines of these names. `v1`: those that see a cgroup v1 mount.
    static func with(_ names: [String], v1: Set<String> = [], _ body: (Lab) throws -> Void) throws {
        let lab = try Lab()
        defer { lab.remove() }
        do {
            for (index, name) in names.enumerated() {
                let machine = Machine(lab, name, address: "10.99.0.\(index + 1)", seesV1: v1.contains(name))
                lab.machines.append(machine)
                try machine.boot()
            }
            for machine in lab.machines { try machine.waitUntilBooted() }
            try body(lab)
        } catch {
            lab.printJournals()
            throw error
        }
    }

    subscript(_ name: String) -> Machine { machines.first { $0.name == name }! }

    private func printJournals() {
        for machine in machines {
            let lines = ["journalctl", "--no-pager", "-o", "short-precise", "-b", "0", "-n", "60"]
            let ours = (try? machine.run(lines + ["-u", "asterism*"]))?.text ?? "none"
            let warnings = (try? machine.run(lines + ["-p", "warning"]))?.text ?? "none"
            print("journal of our units on \(machine.name):\n\(ours)\nits warnings:\n\(warnings)")
        }
    }
}

/// One machine of a lab.
final class Machine {
    let name: String
    let address: String
    private let seesV1: Bool
    private unowned let lab: Lab

    init(_ lab: Lab, _ name: String, address: String, seesV1: Bool) {
        self.lab = lab
        self.name = name
        self.address = address
        self.seesV1 = seesV1
    }

    // MARK: Power

    func boot() throws {
        try lab.notify(["boot", lab.folder, name, address] + (seesV1 ? ["v1"] : []))
    }

    /// Until systemd has started or failed to start everything. Returns its state, `running` or `degraded`.
    @discardableResult
    func waitUntilBooted() throws -> String {
        var state = ""
        try eventually("\(name) has booted", within: 60, state) {
            state = try run(["systemctl", "is-system-running"]).trimmed
            return state == "running" || state == "degraded"
        }
        return state
    }

    /// By systemctl(1); returns when the machine has booted again. Returns systemd's state.
    func reboot() throws -> String {
        let before = try bootID()
        _ = try run(["systemctl", "reboot"])
        try eventually("\(name) boots again", within: 90) { try bootID() != before }
        return try waitUntilBooted()
    }

    /// As if the cable was pulled.
    func cutPower() throws {
        try lab.notify(["cut", lab.folder, name])
        try eventually("\(name) is off") { try run(["true"]).status != 0 }
    }

    private func bootID() throws -> String { try shell("cat /proc/sys/kernel/random/boot_id") }

    // MARK: Commands

    /// A command as root, whatever its status.
    func run(
        _ words: [String], input: String? = nil, inputFile: String? = nil, seconds: Int = 60
    ) throws -> Outcome {
        try Child.run(
            [Lab.script, "exec", lab.folder, name] + words, input: input, inputFile: inputFile,
            seconds: Double(seconds) + 10, environment: ["LAB_SECONDS": "\(seconds)"])
    }

    /// A script for sh(1) that must succeed; its output without the last line break.
    @discardableResult
    func shell(_ script: String, input: String? = nil, seconds: Int = 60) throws -> String {
        let outcome = try run(["sh", "-ec", script], input: input, seconds: seconds)
        guard outcome.status == 0 else { throw Fault("\(name): \(script): \(outcome.text)") }
        return outcome.trimmed
    }

    /// Copies a file of the host into the machine.
    func copy(_ file: String, to path: String) throws {
        let outcome = try run(["sh", "-c", "cat >'\(path)'"], inputFile: file)
        guard outcome.status == 0 else { throw Fault("\(name): \(path): \(outcome.text)") }
    }

    /// Writes a file of the machine.
    func write(_ text: String, to path: String) throws { try shell("cat >'\(path)'", input: text) }

    // MARK: Units

    /// What the journal holds of a unit in this boot, one message a line.
    func journal(_ unit: String, since: String? = nil) throws -> String {
        let window = since.map { " --since '\($0)'" } ?? ""
        return try shell("journalctl -b 0 -o cat --no-pager\(window) -u \(unit)")
    }

    /// A property of a unit, as `systemctl show` prints it.
    func show(_ property: String, of unit: String) throws -> String {
        try shell("systemctl show --value -p \(property) \(unit)")
    }

    func mainPID(of unit: String) throws -> Int { Int(try show("MainPID", of: unit)) ?? 0 }
}

extension Lab {
    fileprivate func notify(_ words: [String]) throws {
        let outcome = try Child.run([Lab.script] + words, seconds: 30)
        guard outcome.status == 0 else { throw Fault("lab \(words[0]): \(outcome.text)") }
    }
}
