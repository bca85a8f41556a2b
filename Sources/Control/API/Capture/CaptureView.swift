/// A piece of a capture: the next bytes of a pcapng file.
package struct CaptureView: Hashable, Sendable, Codable {
    package let capture: Int64
    /// In base64 (RFC 4648, section 4).
    package var data: String
    /// Nothing will come after it.
    package let isFinal: Bool
    /// So far.
    package var packets: Int
    /// Packets that there was no room for, so far.
    package let dropped: Int

    package init(capture: Int64, bytes: [UInt8], isFinal: Bool, packets: Int, dropped: Int) {
        self.capture = capture
        data = Base64.encode(bytes)
        self.isFinal = isFinal
        self.packets = packets
        self.dropped = dropped
    }

    package var bytes: [UInt8]? { Base64.decode(data) }
}
