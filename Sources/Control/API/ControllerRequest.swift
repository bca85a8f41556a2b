import Base
package import Wire

/// Numbers the requests of one driver, so that answers find who asked.
package struct RequestID: Hashable, Comparable, Sendable {
    package var value: UInt64

    package init(_ value: UInt64) { self.value = value }

    package static func < (a: RequestID, b: RequestID) -> Bool { a.value < b.value }
}

/// What can be asked of a controller, by JSON-RPC 2.0 or HTTP. Parameters are those structs as JSON objects; a method
/// without parameters takes none, or an empty object.
package enum ControllerRequest: Hashable, Sendable {
    /// The names that JSON-RPC uses.
    package enum Method: String, Hashable, Sendable, CaseIterable {
        case status
        case nodesList = "nodes.list"
        case nodesGet = "nodes.get"
        case tokensCreate = "tokens.create"
        case tokensList = "tokens.list"
        case tokensRevoke = "tokens.revoke"
        case workersRun = "workers.run"
        case workersList = "workers.list"
        case workersGet = "workers.get"
        case workersStop = "workers.stop"
        case workersRemove = "workers.remove"
        case workersLogs = "workers.logs"
        case eventsList = "events.list"
        case acceleratorsList = "accelerators.list"
        case peersList = "peers.list"
    }

    case status
    case nodesList
    case nodesGet(NodesGet)
    case tokensCreate(TokensCreate)
    case tokensList
    case tokensRevoke(TokensRevoke)
    case workersRun(WorkersRun)
    case workersList(WorkersList)
    case workersGet(WorkersGet)
    case workersStop(WorkersStop)
    case workersRemove(WorkersRemove)
    case workersLogs(WorkersLogs)
    case eventsList(EventsList)
    case acceleratorsList
    case peersList

    package struct NodesGet: Hashable, Sendable, Codable {
        /// A name, or a NodeID or the first digits of one.
        package var node: String
        package init(node: String) { self.node = node }
    }
    package struct TokensCreate: Hashable, Sendable, Codable {
        /// Without it, an hour.
        package var ttlSeconds: Int64?
        /// Without it, 1.
        package var uses: Int64?
        package var name: String?
        /// Whether nodes that join with it are beacons; without it, no.
        package var isForBeacons: Bool?
        package init(
            ttlSeconds: Int64? = nil, uses: Int64? = nil, name: String? = nil, isForBeacons: Bool? = nil
        ) {
            self.ttlSeconds = ttlSeconds
            self.uses = uses
            self.name = name
            self.isForBeacons = isForBeacons
        }
    }
    package struct TokensRevoke: Hashable, Sendable, Codable {
        /// 16 hexadecimal digits.
        package var id: String
        package init(id: String) { self.id = id }
    }
    package struct WorkersRun: Hashable, Sendable, Codable {
        /// Without it, the program's name and some digits.
        package var name: String?
        /// A name or NodeID; without it, the least loaded node.
        package var node: String?
        package var spec: WorkerSpec
        /// The caller's name for this command; asked again under the same name, it is done once and answered alike.
        package var operation: String?
        package init(name: String? = nil, node: String? = nil, spec: WorkerSpec, operation: String? = nil) {
            self.name = name
            self.node = node
            self.spec = spec
            self.operation = operation
        }
    }
    package struct WorkersList: Hashable, Sendable, Codable {
        package var node: String?
        package init(node: String? = nil) { self.node = node }
    }
    package struct WorkersGet: Hashable, Sendable, Codable {
        package var name: String
        package init(name: String) { self.name = name }
    }
    package struct WorkersStop: Hashable, Sendable, Codable {
        package var name: String
        package var operation: String?
        /// In place of the specification's.
        package var graceSeconds: Int64?
        package init(name: String, operation: String? = nil, graceSeconds: Int64? = nil) {
            self.name = name
            self.operation = operation
            self.graceSeconds = graceSeconds
        }
    }
    package struct WorkersRemove: Hashable, Sendable, Codable {
        package var name: String
        package var operation: String?
        package init(name: String, operation: String? = nil) {
            self.name = name
            self.operation = operation
        }
    }
    package struct WorkersLogs: Hashable, Sendable, Codable {
        package var name: String
        /// Negative: that many bytes before the end. Without it, from the beginning.
        package var offset: Int64?
        package var limit: Int64?
        package init(name: String, offset: Int64? = nil, limit: Int64? = nil) {
            self.name = name
            self.offset = offset
            self.limit = limit
        }
    }
    package struct EventsList: Hashable, Sendable, Codable {
        /// Only events with a higher id.
        package var after: UInt64?
        package var limit: Int64?
        package init(after: UInt64? = nil, limit: Int64? = nil) {
            self.after = after
            self.limit = limit
        }
    }

    package var method: Method {
        switch self {
        case .status: .status
        case .nodesList: .nodesList
        case .nodesGet: .nodesGet
        case .tokensCreate: .tokensCreate
        case .tokensList: .tokensList
        case .tokensRevoke: .tokensRevoke
        case .workersRun: .workersRun
        case .workersList: .workersList
        case .workersGet: .workersGet
        case .workersStop: .workersStop
        case .workersRemove: .workersRemove
        case .workersLogs: .workersLogs
        case .eventsList: .eventsList
        case .acceleratorsList: .acceleratorsList
        case .peersList: .peersList
        }
    }

    /// Reads the parameters of a method; throws what the decoder throws.
    package init(_ method: Method, from decoder: any Decoder) throws {
        switch method {
        case .status: self = .status
        case .nodesList: self = .nodesList
        case .nodesGet: self = .nodesGet(try NodesGet(from: decoder))
        case .tokensCreate: self = .tokensCreate(try TokensCreate(from: decoder))
        case .tokensList: self = .tokensList
        case .tokensRevoke: self = .tokensRevoke(try TokensRevoke(from: decoder))
        case .workersRun: self = .workersRun(try WorkersRun(from: decoder))
        case .workersList: self = .workersList(try WorkersList(from: decoder))
        case .workersGet: self = .workersGet(try WorkersGet(from: decoder))
        case .workersStop: self = .workersStop(try WorkersStop(from: decoder))
        case .workersRemove: self = .workersRemove(try WorkersRemove(from: decoder))
        case .workersLogs: self = .workersLogs(try WorkersLogs(from: decoder))
        case .eventsList: self = .eventsList(try EventsList(from: decoder))
        case .acceleratorsList: self = .acceleratorsList
        case .peersList: self = .peersList
        }
    }

    /// Writes the parameters; an empty object where there are none.
    package func encodeParameters(to encoder: any Encoder) throws {
        switch self {
        case .status, .nodesList, .tokensList, .acceleratorsList, .peersList: try NoParameters().encode(to: encoder)
        case .nodesGet(let parameters): try parameters.encode(to: encoder)
        case .tokensCreate(let parameters): try parameters.encode(to: encoder)
        case .tokensRevoke(let parameters): try parameters.encode(to: encoder)
        case .workersRun(let parameters): try parameters.encode(to: encoder)
        case .workersList(let parameters): try parameters.encode(to: encoder)
        case .workersGet(let parameters): try parameters.encode(to: encoder)
        case .workersStop(let parameters): try parameters.encode(to: encoder)
        case .workersRemove(let parameters): try parameters.encode(to: encoder)
        case .workersLogs(let parameters): try parameters.encode(to: encoder)
        case .eventsList(let parameters): try parameters.encode(to: encoder)
        }
    }
}

struct NoParameters: Codable {}

package enum ControllerReply: Hashable, Sendable {
    case status(StatusView)
    case nodes([NodeView])
    case node(NodeView)
    case token(TokenView)
    case tokens([TokenView])
    case worker(WorkerView)
    case workers([WorkerView])
    case log(LogView)
    case events([EventView])
    case accelerators([AcceleratorView])
    case peers([PeerView])
}

extension ControllerReply: Encodable {
    /// The view itself, without the case's name.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .status(let view): try container.encode(view)
        case .nodes(let views): try container.encode(views)
        case .node(let view): try container.encode(view)
        case .token(let view): try container.encode(view)
        case .tokens(let views): try container.encode(views)
        case .worker(let view): try container.encode(view)
        case .workers(let views): try container.encode(views)
        case .log(let view): try container.encode(view)
        case .events(let views): try container.encode(views)
        case .accelerators(let views): try container.encode(views)
        case .peers(let views): try container.encode(views)
        }
    }
}
