package import Mesh
import Wire

/// What an `Agent` requests from its driver. The driver owns one, hands it to every call, and empties it after each.
package struct AgentOutbox: ~Copyable {
    package var mesh = MeshOutbox()
    package var actions: [AgentAction] = []

    package init() {}
}

extension AgentOutbox {
    mutating func report(_ notice: AgentNotice) { actions.append(.notice(notice)) }

    mutating func reply(_ id: RequestID, _ reply: AgentReply) { actions.append(.reply(id, .success(reply))) }

    mutating func refuse(_ id: RequestID, _ error: APIError) { actions.append(.reply(id, .failure(error))) }

    mutating func refuse(_ id: RequestID, _ code: APIError.Code, _ message: String, field: String? = nil) {
        refuse(id, APIError(code, message, field: field))
    }
}
