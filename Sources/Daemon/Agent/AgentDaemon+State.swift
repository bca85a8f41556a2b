import Base
import Control
import Logging
import Mesh
import Noise
import Platform
import Wire

// What an agent finds in its state folder when it starts.

extension AgentDaemon.Settings {
    /// How an enrolment token is given.
    package enum Token: Hashable, Sendable {
        /// On the command line, where other users of the machine can see it.
        case text(String)
        /// In a file, which is read once, when the agent has started.
        case file(String)
    }
}

extension AgentDaemon {
    /// Joins with the token that was given. A file that is not there, or cannot be read, does not keep the agent from
    /// running: a member needs no token any more, and another node says what is wrong and waits for `asterism join`.
    func useToken() {
        switch settings.token {
        case nil: break
        case .text(let token):
            log.warning("the token can be seen in the process list; use --join-token-file")
            handle(.join(token: token))
        case .file(let path):
            do throws(FileError) {
                guard let bytes = try Files.read(path) else { return handle(.noToken("\(path): no such file")) }
                handle(.join(token: String(decoding: bytes, as: UTF8.self)))
            } catch { handle(.noToken(error.description)) }
        }
    }

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
