import Base
import Wire

// Why a peer was not found, for people.

extension PeerFinder.Failure {
    var error: APIError {
        switch self {
        case .noController: APIError(.unavailable, "no session with it, and no controller to ask for it")
        case .timeout: APIError(.timeout, "no session could be made in time")
        case .unknown(let asked): APIError(.notFound, "no node of the fleet is \(asked.text)", field: "peer")
        case .unproven, .notShown:
            APIError(.refused, "the controller's answer does not prove whose address that is", field: "peer")
        case .isThisNode: APIError(.invalid, "that is this node", field: "peer")
        case .nowhere(let name):
            APIError(.notFound, "the directory does not know where \(name) is", field: "peer")
        case .noAnswer(let name, _): APIError(.unavailable, "\(name) does not answer")
        }
    }
}

extension LookUp {
    fileprivate var text: String {
        switch self {
        case .node(let node): node.short
        case .address(let address): "at \(address)"
        case .name(let name): "called '\(name)'"
        }
    }
}
