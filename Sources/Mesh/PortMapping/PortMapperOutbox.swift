package import Base

/// What a `PortMapper` needs done. The driver owns one, hands it to every call, and empties it after each.
package struct PortMapperOutbox: Sendable {
    /// To be sent from the node's address on the gateway's network, in this order.
    package var datagrams: [(bytes: [UInt8], remote: SocketAddress)] = []
    package var requests: [PortMapperRequest] = []

    package init() {}
}
