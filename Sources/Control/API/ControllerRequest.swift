/// What can be asked of a controller: the list of its verbs.
///
/// A new verb gets a case here, a line in `verb` and one in `verbs`; in `ControllerReply` it takes the case of its answer.
package enum ControllerRequest: Hashable, Sendable {
    /// The result of a request.
    package typealias Outcome = Result<ControllerReply, APIError>

    case status
    case nodesList
    case nodesGet(NodesGet)
    case tokensCreate(TokensCreate)
    case tokensList
    case tokensGet(TokensGet)
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

    package var verb: any ControllerVerb {
        switch self {
        case .status: StatusGet()
        case .nodesList: NodesList()
        case .nodesGet(let verb): verb
        case .tokensCreate(let verb): verb
        case .tokensList: TokensList()
        case .tokensGet(let verb): verb
        case .tokensRevoke(let verb): verb
        case .workersRun(let verb): verb
        case .workersList(let verb): verb
        case .workersGet(let verb): verb
        case .workersStop(let verb): verb
        case .workersRemove(let verb): verb
        case .workersLogs(let verb): verb
        case .eventsList(let verb): verb
        case .acceleratorsList: AcceleratorsList()
        case .peersList: PeersList()
        }
    }

    /// In the order of the documents.
    package static let verbs: [any ControllerVerb.Type] = [
        StatusGet.self, NodesList.self, NodesGet.self, TokensCreate.self, TokensList.self, TokensGet.self,
        TokensRevoke.self,
        WorkersRun.self, WorkersList.self, WorkersGet.self, WorkersStop.self, WorkersRemove.self, WorkersLogs.self,
        EventsList.self, AcceleratorsList.self, PeersList.self,
    ]
}

/// What a controller answers with.
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

    /// The answer of the verb, without the case's name: what JSON shows.
    package var view: any Encodable {
        switch self {
        case .status(let view): view
        case .nodes(let views): views
        case .node(let view): view
        case .token(let view): view
        case .tokens(let views): views
        case .worker(let view): view
        case .workers(let views): views
        case .log(let view): view
        case .events(let views): views
        case .accelerators(let views): views
        case .peers(let views): views
        }
    }
}

extension ControllerReply: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(view)
    }
}

extension ControllerRequest: VerbList, JSONRPCRequest {
    package static let methodNames = verbs.map { $0.verb.method }

    package var method: VerbMethod<ControllerRequest> { VerbMethod(type(of: verb)) }
    package init(_ method: VerbMethod<ControllerRequest>, from decoder: any Decoder) throws {
        self = try method.verb.init(from: decoder).controllerRequest
    }
    package func encodeParameters(to encoder: any Encoder) throws { try verb.encode(to: encoder) }
}

extension VerbMethod<ControllerRequest> {
    package init(_ verb: any ControllerVerb.Type) {
        guard let method = VerbMethod(rawValue: verb.verb.method) else { preconditionFailure("\(verb) is not listed") }
        self = method
    }

    package var verb: any ControllerVerb.Type { ControllerRequest.verbs[index] }
}
