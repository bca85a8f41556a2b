/// The two places at a relay between which it carries a datagram, as one of the two nodes sees them.
package struct AllocationPair: Hashable, Sendable {
    /// This node's.
    package var near: UInt32
    /// The peer's.
    package var far: UInt32

    package init(near: UInt32, far: UInt32) {
        self.near = near
        self.far = far
    }
}
