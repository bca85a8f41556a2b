import Base
import Control
import Mesh
import Noise
import Wire

// What an agent finds in its state folder when it starts.

extension AgentDaemon {
    static func identity(in state: String) throws(StartError) -> Identity {
        let path = "\(state)/identity"
        let stored = try StartError.of("--data") { () throws(FileError) in try Files.read(path) }
        if let stored {
            guard let key = SecretKey(stored) else {
                throw StartError(
                    "--data",
                    "\(path) is damaged: a key has 32 bytes, and this has \(stored.count); restore it, or "
                        + "remove the folder's content to enrol a new node", .refused)
            }
            return Identity(key)
        }
        // 32 bytes make a key.
        let key = SecretKey(Entropy.bytes(SecretKey.count))!
        let bytes = key.bytes()
        try StartError.of("--data") { () throws(FileError) in try Files.write(bytes, to: path) }
        return Identity(key)
    }

    static func membership(in state: String) throws(StartError) -> MembershipRecord? {
        let path = "\(state)/membership"
        let stored = try StartError.of("--data") { () throws(FileError) in try Files.read(path) }
        guard let stored else { return nil }
        do throws(DecodeError) { return try MembershipRecord(decoding: stored) } catch {
            throw StartError(
                "--data", "\(path) is damaged (\(error)); remove it and enrol the node again with 'asterism join'",
                .refused)
        }
    }

    static func record(in state: String) throws(StartError) -> AgentRecord {
        let path = "\(state)/workers.state"
        let stored = try StartError.of("--data") { () throws(FileError) in try Files.read(path) }
        guard let stored else { return AgentRecord() }
        do throws(DecodeError) { return try AgentRecord(decoding: stored) } catch {
            throw StartError(
                "--data", "\(path) is damaged (\(error)); removing it forgets which workers ran", .refused)
        }
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
