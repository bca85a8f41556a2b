import Base
import Glibc

/// A machine's addresses come and go; the kernel reports when (`NetworkChanges`), and is asked for them then.
struct AddressWatch {
    private var last: [SocketAddress]?

    /// The addresses, if they are not what they were.
    mutating func look(_ listening: SocketAddress?, without overlay: String?) -> [SocketAddress]? {
        guard let listening else { return nil }
        let present = LocalAddresses.of(listening, without: overlay)
        guard present != last else { return nil }
        last = present
        return present
    }
}
