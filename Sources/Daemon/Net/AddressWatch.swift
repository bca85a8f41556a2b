import Base
import Glibc

/// A machine's addresses change. The kernel reports a change (`NetworkChanges`), and then this asks for them.
struct AddressWatch {
    private var last: [SocketAddress]?

    /// The addresses, if they have changed.
    mutating func look(_ listening: SocketAddress?, without overlay: String?) -> [SocketAddress]? {
        guard let listening else { return nil }
        let present = LocalAddresses.of(listening, without: overlay)
        guard present != last else { return nil }
        last = present
        return present
    }
}
