/// What can be asked of an agent on its local socket: the list of its verbs.
///
/// A new verb gets a case here, a line in `verb` and one in `verbs`; in `AgentReply` it takes the case of its answer.
package enum AgentRequest: Hashable, Sendable {
    /// The result of a request.
    package typealias Outcome = Result<AgentReply, APIError>

    case status
    case peersList
    case ping(PingPeer)
    case join(JoinFleet)
    case workersList
    case acceleratorsList
    case benchStart(BenchStart)
    case why(ExplainPaths)
    case netcheck
    case debugRebind(RebindSockets)
    case debugDropPath(DropPath)
    case debugRelayOnly(RelayOnly)
    case captureStart(CaptureStart)
    case captureRead(CaptureRead)
    case captureStop(CaptureStop)

    package var verb: any AgentVerb {
        switch self {
        case .status: StatusGet()
        case .peersList: PeersList()
        case .ping(let verb): verb
        case .join(let verb): verb
        case .workersList: AgentWorkersList()
        case .acceleratorsList: AcceleratorsList()
        case .benchStart(let verb): verb
        case .why(let verb): verb
        case .netcheck: NetworkCheck()
        case .debugRebind(let verb): verb
        case .debugDropPath(let verb): verb
        case .debugRelayOnly(let verb): verb
        case .captureStart(let verb): verb
        case .captureRead(let verb): verb
        case .captureStop(let verb): verb
        }
    }

    /// In the order of the documents.
    package static let verbs: [any AgentVerb.Type] = [
        StatusGet.self, PeersList.self, PingPeer.self, JoinFleet.self, AgentWorkersList.self, AcceleratorsList.self,
        BenchStart.self, ExplainPaths.self, NetworkCheck.self, RebindSockets.self, DropPath.self, RelayOnly.self,
        CaptureStart.self, CaptureRead.self, CaptureStop.self,
    ]
}

/// What an agent answers with.
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

    /// The answer of the verb, without the case's name: what JSON shows.
    package var view: any Encodable {
        switch self {
        case .status(let view), .joined(let view): view
        case .peers(let views): views
        case .ping(let view): view
        case .workers(let views): views
        case .accelerators(let views): views
        case .bench(let view): view
        case .why(let view): view
        case .netcheck(let view): view
        case .rebound(let view): view
        case .capture(let view): view
        }
    }
}

extension AgentReply: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(view)
    }
}

extension AgentRequest: VerbList, JSONRPCRequest {
    package static let methodNames = verbs.map { $0.verb.method }

    package var method: VerbMethod<AgentRequest> { VerbMethod(type(of: verb)) }
    package init(_ method: VerbMethod<AgentRequest>, from decoder: any Decoder) throws {
        self = try method.verb.init(from: decoder).agentRequest
    }
    package func encodeParameters(to encoder: any Encoder) throws { try verb.encode(to: encoder) }
}

extension VerbMethod<AgentRequest> {
    package init(_ verb: any AgentVerb.Type) {
        guard let method = VerbMethod(rawValue: verb.verb.method) else { preconditionFailure("\(verb) is not listed") }
        self = method
    }

    package var verb: any AgentVerb.Type { AgentRequest.verbs[index] }
}
