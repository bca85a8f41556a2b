package import Base

/// A verb of the controller that is answered at once.
package protocol ImmediateControllerVerb: ControllerVerb {
    func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> Answer
}

extension ImmediateControllerVerb {
    package func apply(
        to controller: inout Controller, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        do throws(APIError) {
            let answer = try answer(from: &controller, now: now, into: &out)
            out.reply(id, Self.reply(answer))
        } catch {
            out.refuse(id, error)
        }
    }
}
