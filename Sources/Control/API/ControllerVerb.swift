package import Base

/// A verb of the controller.
package protocol ControllerVerb: APIVerb where Answer: SchemaDescribed {
    /// `nil` where HTTP does not have it.
    static var route: HTTPRoute? { get }

    /// The verb as one of the controller's requests.
    var controllerRequest: ControllerRequest { get }
    /// Its answer as one of the controller's replies.
    static func reply(_ answer: Answer) -> ControllerReply

    /// Does the work. The reply goes to `out`, now or when an agent has answered.
    func apply(to controller: inout Controller, _ id: RequestID, now: Instant, into out: inout ControllerOutbox)
}

extension ControllerVerb {
    /// For documents that are made from `any ControllerVerb.Type`.
    package static var answerSchema: Schema { Answer.schema }
}
