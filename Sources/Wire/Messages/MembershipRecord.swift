package import Base
import SwiftProtobuf

/// What an agent keeps of its membership. Its private key is stored elsewhere, and only the shell has it.
package struct MembershipRecord: Hashable, Sendable {
    package var admission: Admission

    package init(_ admission: Admission) { self.admission = admission }

    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        try self.init(decoding: bytes, limit: 1 << 20, "membership record")
    }
    package func encoded() -> [UInt8] {
        // As in `Convertible`: a proto3 message of this size can always be written.
        try! proto.serializedBytes()
    }
}

extension MembershipRecord: Convertible {
    init(_ proto: ProtoMembershipRecord) throws(DecodeError) {
        guard proto.version == AgentRecord.version else { throw invalid("membership_record.version") }
        self.init(
            Admission(
                certificate: try blob(proto.certificate, limit: Limits.certificateBytes, "membership.certificate"),
                authorities: try authorities(proto.authorities, "membership.authorities"),
                controllers: try list(
                    proto.controllers, limit: Limits.controllers, "membership.controllers", ControllerAddress.init),
                overlayNetwork: proto.hasOverlayNetwork
                    ? try overlayNetwork(proto.overlayNetwork, "membership.overlay_network") : nil))
    }
    var proto: ProtoMembershipRecord {
        .with {
            $0.version = AgentRecord.version
            $0.certificate = blob(admission.certificate)
            $0.authorities = admission.authorities.map { blob($0) }
            $0.controllers = admission.controllers.map(\.proto)
            if let network = admission.overlayNetwork { $0.overlayNetwork = network.description }
        }
    }
}
