package import Base
import SwiftProtobuf

extension ControlMessage {
    /// Reads one message and checks every bound of `Limits`.
    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        try self.init(decoding: bytes, "message")
    }

    /// The message's bytes, without a frame. Equal messages have equal bytes.
    package func encoded() -> [UInt8] {
        // As in `Convertible`: a proto3 message of this size can always be written.
        try! proto.serializedBytes()
    }
}

extension ControlMessage: Convertible {
    init(_ proto: ProtoEnvelope) throws(DecodeError) {
        switch proto.body {
        case .enrol(let body): self = .enrol(try Enrol(body))
        case .register(let body):
            self = .register(
                Register(
                    addresses: try addresses(body.addresses, "register.addresses"),
                    relays: try list(body.relays, limit: Limits.homeRelays, "register.relays", RelayedAddress.init),
                    tcpPorts: try ports(body.tcpPorts, "register.tcp_ports")))
        case .lookUp(let body): self = .lookUp(try LookUp(body))
        case .report(let body): self = .report(try Report(body))
        case .checkReply(let body):
            self = .checkReply(
                CheckReply(
                    operation: body.operation,
                    problems: try list(
                        body.problems, limit: Limits.specProblems, "check_reply.problems", SpecProblem.init)))
        case .logChunk(let body): self = .logChunk(try LogChunk(body))
        case .goodbye(let body): self = .goodbye(reason: try text(body.reason, "goodbye.reason"))
        case .renewCertificate(let body):
            self = .renewCertificate(body.hasRequested ? try NodeDescription(body.requested) : nil)
        case .clock(let body):
            self = .clock(
                ClockReading(try wallClock(body.clock, "clock.clock"), expectsReply: body.expectsReply))
        case .enrolReply(let body): self = .enrolReply(try EnrolReply(body))
        case .desired(let body): self = .desired(try Desired(body))
        case .check(let body):
            self = .check(
                Check(
                    operation: body.operation, worker: try WorkerRef(body.worker), spec: try WorkerSpec(body.spec)))
        case .readLog(let body):
            self = .readLog(
                ReadLog(
                    operation: body.operation, worker: try name(body.worker, "read_log.worker"), offset: body.offset,
                    limit: body.limit))
        case .lookUpReply(let body): self = .lookUpReply(try LookUpReply(body))
        case .certificateRenewed(let body):
            self = .certificateRenewed(
                CertificateRenewed(
                    certificate: try blob(body.certificate, limit: Limits.certificateBytes, "renewed.certificate"),
                    authorities: try authorities(body.authorities, "renewed.authorities"),
                    overlayNetwork: body.hasOverlayNetwork
                        ? try overlayNetwork(body.overlayNetwork, "renewed.overlay_network") : nil,
                    controllers: try list(
                        body.controllers, limit: Limits.controllers, "renewed.controllers", ControllerAddress.init)))
        case .relays(let body):
            self = .relays(
                try list(body.relays, limit: Limits.controllers, "relays.relays", ControllerAddress.init))
        case .certificateRefused(let body):
            self = .certificateRefused(
                try EnrolRefusal(body.reason), text: try text(body.text, "certificate_refused.text"))
        case nil: throw invalid("message.body")
        }
    }

    var proto: ProtoEnvelope {
        var envelope = ProtoEnvelope()
        envelope.body =
            switch self {
            case .enrol(let enrol): .enrol(enrol.proto)
            case .register(let register):
                .register(
                    .with {
                        $0.addresses = register.addresses.map(\.description)
                        $0.relays = register.relays.map(\.proto)
                        $0.tcpPorts = register.tcpPorts.map { UInt32($0) }
                    })
            case .lookUp(let request): .lookUp(request.proto)
            case .report(let report): .report(report.proto)
            case .checkReply(let reply):
                .checkReply(
                    .with {
                        $0.operation = reply.operation
                        $0.problems = reply.problems.map(\.proto)
                    })
            case .logChunk(let chunk): .logChunk(chunk.proto)
            case .goodbye(let reason): .goodbye(.with { $0.reason = reason })
            case .renewCertificate(let requested):
                .renewCertificate(.with { if let requested { $0.requested = requested.proto } })
            case .clock(let reading):
                .clock(
                    .with {
                        $0.clock = reading.clock.milliseconds
                        $0.expectsReply = reading.expectsReply
                    })
            case .enrolReply(let reply): .enrolReply(reply.proto)
            case .desired(let desired): .desired(desired.proto)
            case .check(let check): .check(check.proto)
            case .readLog(let request): .readLog(request.proto)
            case .lookUpReply(let reply): .lookUpReply(reply.proto)
            case .certificateRenewed(let renewed):
                .certificateRenewed(
                    .with {
                        $0.certificate = blob(renewed.certificate)
                        $0.authorities = renewed.authorities.map { blob($0) }
                        if let network = renewed.overlayNetwork { $0.overlayNetwork = network.description }
                        $0.controllers = renewed.controllers.map(\.proto)
                    })
            case .relays(let relays): .relays(.with { $0.relays = relays.map(\.proto) })
            case .certificateRefused(let reason, let text):
                .certificateRefused(
                    .with {
                        $0.reason = reason.proto
                        $0.text = text
                    })
            }
        return envelope
    }
}

extension Enrol: Convertible {
    init(_ proto: ProtoEnrol) throws(DecodeError) {
        self.init(
            tokenID: try blob(proto.tokenID, count: 8, "enrol.token_id"),
            proof: try blob(proto.proof, count: 32, "enrol.proof"),
            // A bad name is answered with a reason, so it is let through here; it is only bounded.
            name: try text(proto.name, "enrol.name", limit: Limits.textBytes),
            labels: try list(proto.labels, limit: Limits.labels, "enrol.labels", Label.init),
            site: try text(proto.site, "enrol.site", limit: Limits.nameBytes),
            addresses: try Wire.addresses(proto.addresses, "enrol.addresses"),
            clock: proto.hasClock ? try wallClock(proto.clock, "enrol.clock") : nil)
    }
    var proto: ProtoEnrol {
        .with {
            $0.tokenID = blob(tokenID)
            $0.proof = blob(proof)
            $0.name = name
            $0.labels = labels.map(\.proto)
            $0.site = site
            $0.addresses = addresses.map(\.description)
            if let clock { $0.clock = clock.milliseconds }
        }
    }
}

extension NodeDescription: Convertible {
    init(_ proto: ProtoNodeDescription) throws(DecodeError) {
        self.init(
            // As for `Enrol`: a bad name is answered with a reason.
            name: try text(proto.name, if: proto.hasName, "node.name"),
            site: try text(proto.site, "node.site", limit: Limits.textBytes),
            labels: try list(proto.labels, limit: Limits.labels, "node.labels", Label.init))
    }
    var proto: ProtoNodeDescription {
        .with {
            if let name { $0.name = name }
            $0.site = site
            $0.labels = labels.map(\.proto)
        }
    }
}

extension Report: Convertible {
    init(_ proto: ProtoReport) throws(DecodeError) {
        self.init(sequence: proto.sequence, agentVersion: try text(proto.agentVersion, "report.agent_version"))
        health = proto.hasHealth ? try HealthReport(proto.health) : nil
        workers = proto.hasWorkers ? try WorkersReport(proto.workers) : nil
        containment = try Containment.decoded(proto.containment)
    }
    var proto: ProtoReport {
        .with {
            $0.sequence = sequence
            if let health { $0.health = health.proto }
            if let workers { $0.workers = workers.proto }
            $0.agentVersion = agentVersion
            if let containment { $0.containment = containment.proto }
        }
    }
}

extension LogChunk: Convertible {
    init(_ proto: ProtoLogChunk) throws(DecodeError) {
        self.init(
            operation: proto.operation, worker: try name(proto.worker, "log_chunk.worker"), offset: proto.offset,
            bytes: try blob(proto.bytes, limit: Limits.logChunkBytes, "log_chunk.bytes"),
            nextOffset: proto.nextOffset, isFinal: proto.isFinal,
            problem: try text(proto.problem, if: proto.hasProblem, "log_chunk.problem"))
    }
    var proto: ProtoLogChunk {
        .with {
            $0.operation = operation
            $0.worker = worker
            $0.offset = offset
            $0.bytes = blob(bytes)
            $0.nextOffset = nextOffset
            $0.isFinal = isFinal
            if let problem { $0.problem = problem }
        }
    }
}

extension EnrolReply: Convertible {
    init(_ proto: ProtoEnrolReply) throws(DecodeError) {
        switch proto.outcome {
        case .admission(let admission): self = .admitted(try Admission(admission))
        case .refusal(let refusal):
            self = .refused(
                try EnrolRefusal(refusal.reason), text: try text(refusal.text, "enrol_reply.refusal.text"))
        case nil: throw invalid("enrol_reply.outcome")
        }
    }
    var proto: ProtoEnrolReply {
        .with {
            switch self {
            case .admitted(let admission): $0.admission = admission.proto
            case .refused(let reason, let text):
                $0.refusal.reason = reason.proto
                $0.refusal.text = text
            }
        }
    }
}

extension EnrolRefusal {
    init(_ proto: ProtoEnrolRefusal) throws(DecodeError) {
        switch proto {
        case .unknownToken: self = .unknownToken
        case .wrongProof: self = .wrongProof
        case .expired: self = .expired
        case .usedUp: self = .usedUp
        case .nameTaken: self = .nameTaken
        case .badName: self = .badName
        case .badLabel: self = .badLabel
        case .unspecified, .UNRECOGNIZED: throw invalid("enrol_reply.refusal.reason")
        }
    }
    var proto: ProtoEnrolRefusal {
        switch self {
        case .unknownToken: .unknownToken
        case .wrongProof: .wrongProof
        case .expired: .expired
        case .usedUp: .usedUp
        case .nameTaken: .nameTaken
        case .badName: .badName
        case .badLabel: .badLabel
        }
    }
}

extension Admission: Convertible {
    init(_ proto: ProtoAdmission) throws(DecodeError) {
        self.init(
            certificate: try blob(proto.certificate, limit: Limits.certificateBytes, "admission.certificate"),
            authorities: try Wire.authorities(proto.authorities, "admission.authorities"),
            controllers: try list(
                proto.controllers, limit: Limits.controllers, "admission.controllers", ControllerAddress.init),
            overlayNetwork: proto.hasOverlayNetwork
                ? try Wire.overlayNetwork(proto.overlayNetwork, "admission.overlay_network") : nil,
            clock: proto.hasClock ? try wallClock(proto.clock, "admission.clock") : nil)
    }
    var proto: ProtoAdmission {
        .with {
            $0.certificate = blob(certificate)
            $0.authorities = authorities.map { blob($0) }
            $0.controllers = controllers.map(\.proto)
            if let overlayNetwork { $0.overlayNetwork = overlayNetwork.description }
            if let clock { $0.clock = clock.milliseconds }
        }
    }
}

extension ControllerAddress: Convertible {
    init(_ proto: ProtoControllerAddress) throws(DecodeError) {
        self.init(
            node: try nodeID(proto.node, "controller.node"),
            addresses: try Wire.addresses(proto.addresses, "controller.addresses"),
            tcpPorts: try ports(proto.tcpPorts, "controller.tcp_ports"),
            names: try list(proto.names, limit: Limits.namesPerController, "controller.names") {
                text throws(DecodeError) in
                guard let name = HostPort(text) else { throw invalid("controller.names") }
                return name
            })
    }
    var proto: ProtoControllerAddress {
        .with {
            $0.node = blob(node.bytes)
            $0.addresses = addresses.map(\.description)
            $0.tcpPorts = tcpPorts.map { UInt32($0) }
            $0.names = names.map(\.description)
        }
    }
}

extension Desired: Convertible {
    init(_ proto: ProtoDesired) throws(DecodeError) {
        self.init(
            revision: proto.revision, baseRevision: proto.baseRevision,
            upserts: try list(proto.upserts, limit: Limits.workersPerNode, "desired.upserts", DesiredWorker.init),
            removals: try list(proto.removals, limit: Limits.workersPerNode, "desired.removals") {
                removal throws(DecodeError) in try name(removal, "desired.removals")
            })
        guard revision > baseRevision else { throw invalid("desired.revision") }
    }
    var proto: ProtoDesired {
        .with {
            $0.revision = revision
            $0.baseRevision = baseRevision
            $0.upserts = upserts.map(\.proto)
            $0.removals = removals
        }
    }
}

extension Check {
    var proto: ProtoCheck {
        .with {
            $0.operation = operation
            $0.worker = worker.proto
            $0.spec = spec.proto
        }
    }
}

extension ReadLog {
    var proto: ProtoReadLog {
        .with {
            $0.operation = operation
            $0.worker = worker
            $0.offset = offset
            $0.limit = limit
        }
    }
}

extension LookUp: Convertible {
    init(_ proto: ProtoLookUp) throws(DecodeError) {
        switch (proto.node.isEmpty, proto.hasAddress, proto.hasName) {
        case (false, false, false): self = .node(try nodeID(proto.node, "look_up.node"))
        case (true, true, false): self = .address(try overlayAddress(proto.address, "look_up.address"))
        case (true, false, true): self = .name(try Wire.name(proto.name, "look_up.name"))
        default: throw invalid("look_up")
        }
    }
    var proto: ProtoLookUp {
        .with {
            switch self {
            case .node(let node): $0.node = blob(node.bytes)
            case .address(let address): $0.address = blob(address.bytes)
            case .name(let name): $0.name = name
            }
        }
    }
}

extension LookUpReply: Convertible {
    init(_ proto: ProtoLookUpReply) throws(DecodeError) {
        let found = proto.node.isEmpty ? nil : try nodeID(proto.node, "look_up_reply.node")
        let asked: LookUp
        switch (found, proto.hasAddress, proto.hasName) {
        case (let node?, false, false): asked = .node(node)
        case (_, true, false): asked = .address(try overlayAddress(proto.address, "look_up_reply.address"))
        case (_, false, true): asked = .name(try name(proto.name, "look_up_reply.name"))
        default: throw invalid("look_up_reply")
        }
        self.init(
            asked, node: found, addresses: try Wire.addresses(proto.addresses, "look_up_reply.addresses"),
            relays: try list(proto.relays, limit: Limits.homeRelays, "look_up_reply.relays", RelayedAddress.init),
            certificate: proto.hasCertificate
                ? try blob(proto.certificate, limit: Limits.certificateBytes, "look_up_reply.certificate") : nil)
    }
    var proto: ProtoLookUpReply {
        .with {
            switch asked {
            case .node(let node): $0.node = blob(node.bytes)
            case .address(let address): $0.address = blob(address.bytes)
            case .name(let name): $0.name = name
            }
            if let node { $0.node = blob(node.bytes) }
            $0.addresses = addresses.map(\.description)
            $0.relays = relays.map(\.proto)
            if let certificate { $0.certificate = blob(certificate) }
        }
    }
}

extension RelayedAddress: Convertible {
    init(_ proto: ProtoRelayedAddress) throws(DecodeError) {
        guard let address = SocketAddress(proto.address) else { throw invalid("relay_place.address") }
        self.init(relay: try nodeID(proto.relay, "relay_place.relay"), address: address, allocation: proto.allocation)
    }
    var proto: ProtoRelayedAddress {
        .with {
            $0.relay = blob(relay.bytes)
            $0.address = address.description
            $0.allocation = allocation
        }
    }
}
