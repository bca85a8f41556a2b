import Base
import Wire

/// What can be asked of an agent on its local socket.
package enum AgentRequest: Hashable, Sendable {
    package enum Method: String, Hashable, Sendable, CaseIterable {
        case status
        case peersList = "peers.list"
        case ping
        case join
        case workersList = "workers.list"
        case acceleratorsList = "accelerators.list"
        case benchStart = "bench.start"
        case why
        case netcheck
        case debugRebind = "debug.rebind"
        case debugDropPath = "debug.dropPath"
        case debugRelayOnly = "debug.relayOnly"
        case captureStart = "capture.start"
        case captureRead = "capture.read"
        case captureStop = "capture.stop"
    }

    case status
    case peersList
    case ping(Ping)
    case join(Join)
    case workersList
    case acceleratorsList
    case benchStart(Bench)
    case why(Why)
    /// Surveys the network anew where there are servers for it, and answers within ten seconds.
    case netcheck
    case debugRebind(Rebind)
    case debugDropPath(DropPath)
    case debugRelayOnly(RelayOnly)
    case captureStart(Capture)
    case captureRead(CaptureNumber)
    case captureStop(CaptureNumber)

    package struct Why: Hashable, Sendable, Codable {
        /// As in `Ping`.
        package var peer: String
        package init(peer: String) { self.peer = peer }
    }
    package struct Bench: Hashable, Sendable, Codable {
        /// As in `Ping`.
        package var peer: String
        /// How long the peer's server is to listen: 1 to 120; without it, 20.
        package var seconds: Int64?
        package init(peer: String, seconds: Int64? = nil) {
            self.peer = peer
            self.seconds = seconds
        }
    }
    package struct Ping: Hashable, Sendable, Codable {
        /// The name of a node of the fleet, an overlay address, or a NodeID; of peers also the first digits of one, at
        /// least four.
        package var peer: String
        /// Without it, 4; at most 100.
        package var count: Int64?
        /// Without it, 1000; at least 10.
        package var intervalMilliseconds: Int64?
        /// By one path, whatever data uses: `direct`, `relay`, an address with a port, or a relay's name or id.
        package var via: String?
        package init(
            peer: String, count: Int64? = nil, intervalMilliseconds: Int64? = nil, via: String? = nil
        ) {
            self.peer = peer
            self.count = count
            self.intervalMilliseconds = intervalMilliseconds
            self.via = via
        }
    }
    package struct Join: Hashable, Sendable, Codable {
        package var token: String
        /// Without it, the name that the agent was started with.
        package var name: String?
        package init(token: String, name: String? = nil) {
            self.token = token
            self.name = name
        }
    }

    package var method: Method {
        switch self {
        case .status: .status
        case .peersList: .peersList
        case .ping: .ping
        case .join: .join
        case .workersList: .workersList
        case .acceleratorsList: .acceleratorsList
        case .benchStart: .benchStart
        case .why: .why
        case .netcheck: .netcheck
        case .debugRebind: .debugRebind
        case .debugDropPath: .debugDropPath
        case .debugRelayOnly: .debugRelayOnly
        case .captureStart: .captureStart
        case .captureRead: .captureRead
        case .captureStop: .captureStop
        }
    }

    /// Reads the parameters of a method; throws what the decoder throws.
    package init(_ method: Method, from decoder: any Decoder) throws {
        switch method {
        case .status: self = .status
        case .peersList: self = .peersList
        case .ping: self = .ping(try Ping(from: decoder))
        case .join: self = .join(try Join(from: decoder))
        case .workersList: self = .workersList
        case .acceleratorsList: self = .acceleratorsList
        case .benchStart: self = .benchStart(try Bench(from: decoder))
        case .why: self = .why(try Why(from: decoder))
        case .netcheck: self = .netcheck
        case .debugRebind: self = .debugRebind(try Rebind(from: decoder))
        case .debugDropPath: self = .debugDropPath(try DropPath(from: decoder))
        case .debugRelayOnly: self = .debugRelayOnly(try RelayOnly(from: decoder))
        case .captureStart: self = .captureStart(try Capture(from: decoder))
        case .captureRead: self = .captureRead(try CaptureNumber(from: decoder))
        case .captureStop: self = .captureStop(try CaptureNumber(from: decoder))
        }
    }

    /// Writes the parameters; an empty object where there are none.
    package func encodeParameters(to encoder: any Encoder) throws {
        switch self {
        case .status, .peersList, .workersList, .acceleratorsList, .netcheck: try NoParameters().encode(to: encoder)
        case .ping(let parameters): try parameters.encode(to: encoder)
        case .join(let parameters): try parameters.encode(to: encoder)
        case .benchStart(let parameters): try parameters.encode(to: encoder)
        case .why(let parameters): try parameters.encode(to: encoder)
        case .debugRebind(let parameters): try parameters.encode(to: encoder)
        case .debugDropPath(let parameters): try parameters.encode(to: encoder)
        case .debugRelayOnly(let parameters): try parameters.encode(to: encoder)
        case .captureStart(let parameters): try parameters.encode(to: encoder)
        case .captureRead(let parameters), .captureStop(let parameters): try parameters.encode(to: encoder)
        }
    }
}

package enum AgentReply: Hashable, Sendable {
    case status(StatusView)
    case peers([PeerView])
    case ping(PingView)
    /// Joined: the agent's state afterwards.
    case joined(StatusView)
    case workers([WorkerView])
    case accelerators([AcceleratorView])
    case bench(BenchView)
    case why(PathsView)
    case netcheck(NetcheckView)
    case rebound(RebindView)
    case capture(CaptureView)
}

extension AgentReply: Encodable {
    /// The view itself, without the case's name.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .status(let view), .joined(let view): try container.encode(view)
        case .peers(let views): try container.encode(views)
        case .ping(let view): try container.encode(view)
        case .workers(let views): try container.encode(views)
        case .accelerators(let views): try container.encode(views)
        case .bench(let view): try container.encode(view)
        case .why(let view): try container.encode(view)
        case .netcheck(let view): try container.encode(view)
        case .rebound(let view): try container.encode(view)
        case .capture(let view): try container.encode(view)
        }
    }
}
