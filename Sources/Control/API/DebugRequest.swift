package import Base

// What is asked for to try something out, or to see what travels.

extension AgentRequest {
    package struct Rebind: Hashable, Sendable, Codable {
        /// Without it, whichever the kernel gives.
        package var port: Int64?
        package init(port: Int64? = nil) { self.port = port }
    }
    package struct DropPath: Hashable, Sendable, Codable {
        /// As in `Ping`.
        package var peer: String
        /// As `via` in `Ping`.
        package var path: String
        package init(peer: String, path: String) {
            self.peer = peer
            self.path = path
        }
    }
    package struct RelayOnly: Hashable, Sendable, Codable {
        /// As in `Ping`.
        package var peer: String
        package var isOn: Bool
        package init(peer: String, isOn: Bool) {
            self.peer = peer
            self.isOn = isOn
        }
    }
    package struct Capture: Hashable, Sendable, Codable {
        /// As in `Ping`, of peers only; without it, all of them.
        package var peer: String?
        /// Without it, both.
        package var layer: CaptureLayer?
        /// The capture ends after so many packets: 1 to 1,000,000,000.
        package var count: Int64?
        /// ... or seconds: 1 to 86,400.
        package var seconds: Int64?
        package init(
            peer: String? = nil, layer: CaptureLayer? = nil, count: Int64? = nil, seconds: Int64? = nil
        ) {
            self.peer = peer
            self.layer = layer
            self.count = count
            self.seconds = seconds
        }
    }
    package struct CaptureNumber: Hashable, Sendable, Codable {
        package var capture: Int64
        package init(capture: Int64) { self.capture = capture }
    }
}

package enum CaptureLayer: String, Hashable, Sendable, Codable, CaseIterable {
    /// IP packets of the overlay, in clear.
    case inner
    /// Datagrams of the mesh, sealed.
    case outer
}

package struct RebindView: Hashable, Sendable, Codable {
    /// Where the node listens from here on, and listened before.
    package var address: SocketAddress?
    package var before: SocketAddress?

    package init(address: SocketAddress?, before: SocketAddress?) {
        self.address = address
        self.before = before
    }
}

/// A piece of a capture: the next bytes of a pcapng file.
package struct CaptureView: Hashable, Sendable, Codable {
    package var capture: Int64
    /// In base64 (RFC 4648, section 4).
    package var data: String
    /// Nothing will come after it.
    package var isFinal: Bool
    /// So far.
    package var packets: Int
    /// Packets that there was no room for, so far.
    package var dropped: Int

    package init(capture: Int64, bytes: [UInt8], isFinal: Bool, packets: Int, dropped: Int) {
        self.capture = capture
        data = Base64.encode(bytes)
        self.isFinal = isFinal
        self.packets = packets
        self.dropped = dropped
    }

    package var bytes: [UInt8]? { Base64.decode(data) }
}
