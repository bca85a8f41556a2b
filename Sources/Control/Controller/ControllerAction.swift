package enum ControllerAction: Hashable, Sendable {
    /// One transaction, durable before anything that comes after it is done or sent.
    case persist([StoreChange])
    case reply(RequestID, Result<ControllerReply, APIError>)
}
