package import Base

/// Where a node may be reached, as it announces it.
package enum PathCandidate: Hashable, Sendable {
    case direct(SocketAddress)
    case relayed(RelayedAddress)

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        switch try reader.uint8("candidate") {
        case 0: self = .direct(try SocketAddress(reading: &reader))
        case 1:
            let address = try SocketAddress(reading: &reader)
            // 32 bytes make a NodeID.
            let relay = NodeID(try reader.bytes(32, "relay"))!
            self = .relayed(RelayedAddress(relay: relay, address: address, allocation: try reader.uint32("allocation")))
        case _: throw DecodeError(.invalidValue, "candidate", at: reader.offset)
        }
    }

    package func write(to writer: inout ByteWriter) {
        switch self {
        case .direct(let address):
            writer.uint8(0)
            address.write(to: &writer)
        case .relayed(let place):
            writer.uint8(1)
            place.address.write(to: &writer)
            writer.append(place.relay.bytes)
            writer.uint32(place.allocation)
        }
    }
}
