import Base
import Control
import EventLoop
import Mesh
import Noise
import Platform
import Wire

/// # The agent's state folder
///
/// ```
/// lock          one agent for each folder
/// identity      the node's secret key, 32 bytes
/// membership    the certificate, the authorities, the controllers
/// workers.state what should run, and how what ran has ended
/// workers/      a folder for each generation (ShimProtocol/GenerationDirectory.swift)
/// ```
///
/// A damaged file is an error that states what to do, and is never replaced.
final class StateFolder {
    let path: String
    private let lock: FileDescriptor

    /// Makes the folder where there is none, and takes its lock.
    init(_ path: String) throws(StartError) {
        self.path = path
        lock = try StartError.of("--data") { () throws(FileError) in
            try Files.makeDirectory(path, mode: 0o711)
            return try Files.lock("\(path)/lock")
        }
    }

    /// The node's key, which is generated at the first start.
    func identity() throws(StartError) -> Identity {
        if let stored = try read("identity") {
            guard let key = SecretKey(stored) else {
                throw StartError(
                    "--data",
                    "\(path)/identity is damaged: a key has 32 bytes, and this has \(stored.count); restore it, or "
                        + "remove the folder's content to enrol a new node", .refused)
            }
            return Identity(key)
        }
        // 32 bytes make a key.
        let key = SecretKey(Entropy.bytes(SecretKey.count))!
        let bytes = key.bytes()
        try StartError.of("--data") { () throws(FileError) in try Files.write(bytes, to: "\(path)/identity") }
        return Identity(key)
    }

    /// The bytes of `identity`; `nil` where they cannot be read.
    func identityBytes() -> [UInt8]? { (try? Files.read("\(path)/identity")) ?? nil }

    /// `nil` for a node that is in no fleet.
    func membership() throws(StartError) -> MembershipRecord? {
        guard let stored = try read("membership") else { return nil }
        do throws(DecodeError) { return try MembershipRecord(decoding: stored) } catch {
            throw StartError(
                "--data",
                "\(path)/membership is damaged (\(error)); remove it and enrol the node again with 'asterism join'",
                .refused)
        }
    }

    func record() throws(StartError) -> AgentRecord {
        guard let stored = try read("workers.state") else { return AgentRecord() }
        do throws(DecodeError) { return try AgentRecord(decoding: stored) } catch {
            throw StartError(
                "--data", "\(path)/workers.state is damaged (\(error)); removing it forgets which workers ran",
                .refused)
        }
    }

    /// Durable when it returns.
    func write(_ change: PumpedAgent.Change) throws(FileError) {
        switch change {
        case .membership(let bytes): try Files.write(bytes, to: "\(path)/membership")
        case .workers(let bytes): try Files.write(bytes, to: "\(path)/workers.state")
        }
    }

    private func read(_ name: String) throws(StartError) -> [UInt8]? {
        try StartError.of("--data") { () throws(FileError) in try Files.read("\(path)/\(name)") }
    }
}

extension Control.AdoptedWorker.State {
    init(_ found: AdoptedWorker.State) {
        switch found {
        case .starting: self = .starting
        case .running(let start):
            self = .running(pid: start.pid, startedAt: start.at, containment: start.containment)
        case .exited(let end): self = .exited(end.exit, logBytes: end.logBytes)
        case .launchFailed(let problem): self = .launchFailed(problem)
        case .lost(let at): self = .lost(at: at)
        case .vanished: self = .vanished
        case .unknown: self = .unknown
        case .neverStarted: self = .neverStarted
        }
    }
}
