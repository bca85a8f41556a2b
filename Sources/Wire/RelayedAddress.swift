package import Base

/// A node's allocation at a relay, and where the relay is.
package struct RelayedAddress: Hashable, Sendable {
    package var relay: NodeID
    package var address: SocketAddress
    package var allocation: UInt32

    package init(relay: NodeID, address: SocketAddress, allocation: UInt32) {
        self.relay = relay
        self.address = address
        self.allocation = allocation
    }
}
