package import Base

package struct RebindView: Hashable, Sendable, Codable {
    /// Where the node listens from here on, and listened before.
    package private(set) var address: SocketAddress?
    package private(set) var before: SocketAddress?

    package init(address: SocketAddress?, before: SocketAddress?) {
        self.address = address
        self.before = before
    }
}
