/// What `StreamMux.transmit` appended.
package struct Transmission: Hashable, Sendable {
    package let packetNumber: UInt64
    /// Bytes appended, the packet number included.
    package let count: Int
    package let elicitsAck: Bool

    package init(packetNumber: UInt64, count: Int, elicitsAck: Bool) {
        self.packetNumber = packetNumber
        self.count = count
        self.elicitsAck = elicitsAck
    }
}
