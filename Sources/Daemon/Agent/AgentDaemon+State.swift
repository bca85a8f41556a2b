import Base
import Mesh
import Noise
import Wire

// What the agent keeps in its state folder, as it was left.

extension AgentDaemon {
    static func identity(in state: String) throws(StartError) -> Identity {
        let path = "\(state)/identity"
        let stored = try StartError.of("--data") { () throws(FileError) in try Files.read(path) }
        if let stored {
            guard let key = SecretKey(stored) else {
                throw StartError("--data", "\(path): a key has 32 bytes, and this has \(stored.count)")
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
            throw StartError("--data", "\(path) cannot be read: \(error)")
        }
    }

    static func record(in state: String) throws(StartError) -> AgentRecord {
        let path = "\(state)/workers.state"
        let stored = try StartError.of("--data") { () throws(FileError) in try Files.read(path) }
        guard let stored else { return AgentRecord() }
        do throws(DecodeError) { return try AgentRecord(decoding: stored) } catch {
            throw StartError("--data", "\(path) cannot be read: \(error)")
        }
    }
}
