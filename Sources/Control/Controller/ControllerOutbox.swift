package import Mesh

/// What a controller requests from its driver: first all actions in order, then the datagrams.
package struct ControllerOutbox: ~Copyable {
    package var mesh = MeshOutbox()
    package var actions: [ControllerAction] = []

    package init() {}

    mutating func persist(_ changes: [StoreChange]) { actions.append(.persist(changes)) }
    mutating func reply(_ id: RequestID, _ reply: ControllerReply) { actions.append(.reply(id, .success(reply))) }
    mutating func refuse(_ id: RequestID, _ error: APIError) { actions.append(.reply(id, .failure(error))) }
}
