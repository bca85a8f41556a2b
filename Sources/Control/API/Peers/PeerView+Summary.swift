import Base
import Mesh
import Wire

extension PeerView {
    init(of summary: PeerSummary, _ certificate: Certificate?, relay: String? = nil) {
        self.init(
            node: summary.node, name: summary.name, isConnected: summary.isConnected, address: summary.path?.remote,
            isRelayed: summary.path?.isRelayed ?? false, relay: relay,
            roundTripMicroseconds: summary.roundTrip.map { $0.nanoseconds / 1000 }, cipher: summary.cipher,
            keyAgeSeconds: summary.keyAge?.seconds, sinceReceivedMilliseconds: summary.sinceReceived?.milliseconds,
            bytesReceived: summary.bytesReceived, bytesSent: summary.bytesSent, openStreams: summary.openStreams,
            packetsReceived: summary.packetsReceived, packetsSent: summary.packetsSent,
            packetBytesReceived: summary.packetBytesReceived, packetBytesSent: summary.packetBytesSent,
            hasRoute: summary.hasRoute, datagramBytes: summary.datagramBytes)
        overlay4 = certificate?.overlay4Given
        overlay6 = certificate?.overlay6
    }
}
