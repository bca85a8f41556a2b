import Base
import Wire

// The controller's clock and this node's, compared when the control stream opens and whenever one of the two has moved.

extension Agent {
    /// What comes of it is reported when the controller has answered: a machine that slept seems to have set its clock.
    mutating func compareClocks(now: Instant) {
        guard case .member = standing else { return }
        send(.clock(ClockReading(clock.own(now), wantsAnswer: true)))
    }

    mutating func apply(_ reading: ClockReading, now: Instant, into out: inout AgentOutbox) {
        if reading.wantsAnswer { send(.clock(ClockReading(clock.own(now), wantsAnswer: false))) }
        learn(reading.clock, now: now, into: &out)
    }

    mutating func learn(_ controller: UnixTime, now: Instant, into out: inout AgentOutbox) {
        clock.learn(controller, now: now)
        // By the controller's time the certificate may be due.
        renewalAt = renewalAt.map { min($0, now) }
        reportClock(now: now, into: &out)
    }

    private mutating func reportClock(now: Instant, into out: inout AgentOutbox) {
        switch clock.report(now: now) {
        case .differs:
            let own = clock.own(now)
            out.actions.append(.notice(.clockDiffers(own: own, controller: clock.wall(now))))
        case .agrees: out.actions.append(.notice(.clockAgrees))
        case .nothing: break
        }
    }
}
