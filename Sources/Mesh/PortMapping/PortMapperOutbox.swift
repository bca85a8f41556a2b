package import Base

/// The outputs of a `PortMapper`. The driver owns one, passes it to every call, and empties it after each.
package struct PortMapperOutbox: Sendable {
    /// To be sent from the node's address on the gateway's network, in this order.
    package var datagrams: [(bytes: [UInt8], remote: SocketAddress)] = []
    package var requests: [PortMapperRequest] = []

    package init() {}
}
