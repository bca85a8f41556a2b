package import Base
package import Mesh

/// The port of a gateway that leads to this node, or why there is none.
package struct PortMappingView: Hashable, Sendable, Codable {
    package enum MappingProtocol: String, Hashable, Sendable, Codable, CaseIterable {
        case pcp = "PCP"
        case natPMP = "NAT-PMP"
        case upnp = "UPnP"
    }

    /// Absent where there is no mapping.
    package var `protocol`: MappingProtocol?
    /// Where others reach this node by it.
    package private(set) var externalAddress: SocketAddress?
    package private(set) var internalPort: UInt16
    /// The rest of the mapping's lifetime; it is renewed earlier. Absent where it does not expire.
    package private(set) var lifetimeSeconds: Int64?
    package private(set) var gateway: IPAddress?
    /// Why there is no mapping, or why it does not help unauthenticated peers.
    package var problem: String?

    package init(_ status: PortMappingStatus) {
        `protocol` = status.protocol.map { MappingProtocol($0) }
        externalAddress = status.external
        internalPort = status.internalPort
        lifetimeSeconds = status.lifetime?.seconds
        gateway = status.gateway
        problem = status.problem
    }

    /// There is none, and none is asked for.
    package init(off port: UInt16, _ problem: String) {
        internalPort = port
        self.problem = problem
    }
}

extension PortMappingView: SchemaDescribed {
    package static let schema = Schema.object(
        "PortMapping",
        [
            "protocol?": .text, "externalAddress?": .address, "internalPort": .count, "lifetimeSeconds?": .count,
            "gateway?": .ip, "problem?": .text,
        ])
}

extension PortMappingView.MappingProtocol {
    fileprivate init(_ how: PortMappingProtocol) {
        switch how {
        case .pcp: self = .pcp
        case .natPMP: self = .natPMP
        case .upnp: self = .upnp
        }
    }
}
