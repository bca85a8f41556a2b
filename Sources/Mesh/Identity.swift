package import Base
package import Noise

/// A node's long-term secret. Its public half is the node's id.
package struct Identity: ~Copyable {
    package let key: SecretKey

    package init(_ key: consuming SecretKey) { self.key = key }

    package var nodeID: NodeID { key.publicKey }
}
