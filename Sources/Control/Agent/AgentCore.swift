import Base
import Mesh
import Noise
import Wire

/// # What all features of an agent share
///
/// A feature is a value type with private state. Everything else that it needs is here: the mesh endpoint, the uplink to
/// the controller, the clock, and this node's identity. `Agent` owns the core and the features, and hands the core to
/// each call of a feature.
struct AgentCore: ~Copyable {
    let endpoint: Box<Endpoint>
    /// The connection to the controller.
    var uplink: Uplink
    var configuration: AgentConfiguration
    var clock: FleetClock
    var random: Random
    var counters = AgentCounters()
    var standing: Standing
    /// Since when the node is a member: its start, or later.
    var memberSince: Instant
    private(set) var departure = Departure.none
    /// Whether the controller answers.
    var watch = ControllerWatch()
    let startedAt: UnixTime
    let incarnation: UInt64

    enum Departure: Hashable, Sendable {
        case none
        /// Announces in heartbeats that it leaves, until one is answered or until this time.
        case leaving(until: Instant)
        case gone
    }

    init(
        endpoint: consuming Endpoint, configuration: AgentConfiguration, member: Membership?, incarnation: UInt64,
        random: Random, now: Instant, wall: UnixTime
    ) {
        self.endpoint = Box(endpoint)
        self.configuration = configuration
        self.incarnation = incarnation
        self.random = random
        standing = member.map { .member($0) } ?? .unenrolled
        uplink = Uplink(isMember: member != nil, now: now)
        clock = FleetClock(wall, at: now)
        memberSince = now
        startedAt = wall
    }

    var nodeID: NodeID { endpoint.value.nodeID }

    /// The name in the certificate; before there is one, the name to enrol under.
    var name: String { standing.membership?.certificate.name ?? configuration.name }

    /// Where this node is in the overlay; `nil` outside of a fleet.
    var overlay: OverlayPlace? { standing.membership?.overlay }

    /// Controllers to connect to, in order of preference.
    var controllers: [ControllerAddress] {
        switch standing {
        case .unenrolled: []
        case .enrolling(let enrolment): [enrolment.token.place]
        case .member(let membership): membership.admission.controllers
        }
    }

    // MARK: - The controller

    /// Whether a controller can be asked.
    var canLookUp: Bool {
        guard case .member = standing, uplink.link != nil, departure == .none else { return false }
        return true
    }

    /// False where there is no control stream, or too much waits in it. The controller asks for the state again then.
    @discardableResult
    mutating func send(_ message: ControlMessage) -> Bool { uplink.send(message, to: &endpoint.value) }

    /// Ends the session with the controller without a report, and connects again at once or after a delay.
    mutating func reconnect(_ node: NodeID, after delay: Uplink.Delay, now: Instant, into out: inout AgentOutbox) {
        uplink.retry(after: delay, random: &random, now: now)
        endpoint.value.disconnect(node, now: now, into: &out.mesh)
    }

    // MARK: - Certificates

    /// The certificate in `bytes`, if it is `node`'s and one of the fleet's authorities has signed it. A certificate that
    /// is not counts as refused.
    mutating func verify(
        _ bytes: [UInt8], of node: NodeID, authorities: [VerifyingKey], fleet: FleetID, now: Instant
    ) throws(CertificateFault) -> Certificate {
        let check = CertificateCheck(authorities: authorities, fleet: fleet)
        do throws(CertificateFault) {
            return try check.check(bytes, of: node, wall: clock.wall(now))
        } catch {
            counters.add(.certificatesRefused)
            throw error
        }
    }

    // MARK: - The end

    static let leavingPatience = Interval.seconds(1)

    /// The process ends. With `isLeaving` the node first announces to its fleet that it leaves.
    mutating func depart(leave isLeaving: Bool, now: Instant, into out: inout AgentOutbox) {
        guard departure == .none else { return }
        if isLeaving, case .member = standing, uplink.session != nil {
            departure = .leaving(until: now + AgentCore.leavingPatience)
            uplink.beat(at: now)
            send(.goodbye(reason: "the node leaves"))
        } else {
            leave(now: now, into: &out)
        }
    }

    mutating func serviceDeparture(now: Instant, into out: inout AgentOutbox) {
        if case .leaving(let until) = departure, until <= now { leave(now: now, into: &out) }
    }

    /// The controller has received the goodbye, or the time for that is over.
    mutating func leave(now: Instant, into out: inout AgentOutbox) {
        departure = .gone
        let node = uplink.session?.node
        uplink.close()
        if let node { endpoint.value.disconnect(node, now: now, into: &out.mesh) }
        out.actions.append(.stopped)
    }
}
