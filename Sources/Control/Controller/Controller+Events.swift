import Base
import Mesh
import Wire

// Events of the mesh, by node: heartbeats, and the control stream that each node opens.

extension Controller {
    mutating func handle(_ event: MeshEvent, now: Instant, into out: inout ControllerOutbox) {
        switch event {
        case .connected(let node, let session): connected(node, session, now: now, into: &out)
        case .disconnected(let node, _):
            enrolments.disconnected(node)
            if let slot = core.registry.slot(of: node) { core.registry[slot].dropLink() }
        case .message(let node, let bytes): receive(bytes, from: node, now: now, into: &out)
        case .stream(let node, let event): handle(event, of: node, now: now, into: &out)
        case .connectFailed, .pong, .candidatesChanged, .relayUnreached: break
        }
    }

    private mutating func connected(
        _ node: NodeID, _ session: PeerSession, now: Instant, into out: inout ControllerOutbox
    ) {
        guard session.certificate != nil else { return enrolments.connected(node, session) }
        // A valid certificate of an unknown node: the store was restored from an older copy.
        guard let slot = core.registry.slot(of: node) else {
            return core.endpoint.value.disconnect(node, now: now, into: &out.mesh)
        }
        core.registry[slot].dropLink()
        directory.connected(node, core: core, now: now)
    }

    // MARK: - Heartbeats

    private mutating func receive(
        _ message: [UInt8], from node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let slot = core.registry.slot(of: node) else { return }
        let heartbeat: Heartbeat
        do throws(DecodeError) {
            var reader = ByteReader(message.span.bytes)
            heartbeat = try Heartbeat(reading: &reader)
        } catch { return }
        // Messages may overtake each other; an older one of the same process contains nothing new.
        if let last = core.registry[slot].heartbeat, last.incarnation == heartbeat.incarnation,
            heartbeat.sequence <= last.sequence
        {
            return
        }
        apply(heartbeat, of: slot, now: now, into: &out)
        directory.noteReceived(node, core: core, now: now)
        let entry = core.registry[slot]
        let ack = HeartbeatAck(
            answering: heartbeat, revision: entry.record.revision, details: entry.knownDetails,
            workers: entry.knownWorkers)
        core.endpoint.value.send(ack.encoded(), to: node, now: now)
        if heartbeat.revision != entry.record.revision { core.sendDesired(slot, now: now) }
    }

    private mutating func apply(
        _ heartbeat: Heartbeat, of slot: Int, now: Instant, into out: inout ControllerOutbox
    ) {
        var changes: [StoreChange] = []
        if core.registry[slot].apply(heartbeat, wall: core.clock.wall(now)) {
            changes.append(core.record(.nodeRestarted, "the agent was started again", slot: slot, now: now))
        }
        if heartbeat.state == .leaving {
            if core.registry[slot].state != .left {
                core.registry.left(slot)
                changes.append(core.record(.nodeLeft, "the agent left", slot: slot, now: now))
            }
        } else if core.registry.noteReceived(slot, now: now) {
            changes.append(core.record(.nodeOnline, "heartbeats arrive", slot: slot, now: now))
        }
        if let before = core.registry[slot].apply(heartbeat.worst) {
            let text = "\(before.rawValue) to \(heartbeat.worst.rawValue)"
            changes.append(core.record(.verdictChanged, text, slot: slot, now: now))
        }
        if !changes.isEmpty { out.persist(changes) }
    }

    // MARK: - The control stream

    private mutating func handle(
        _ event: StreamEvent, of node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) {
        switch event {
        case .opened(let stream): opened(stream, of: node, now: now, into: &out)
        case .readable(let stream): read(stream, of: node, now: now, into: &out)
        case .writable(let stream): if let slot = slot(of: node, linkedBy: stream) { core.write(slot) }
        case .reset(let stream, _), .stopped(let stream, _), .closed(let stream):
            enrolments.closed(stream, of: node)
            if let slot = slot(of: node, linkedBy: stream) { core.registry[slot].dropLink() }
        case .acknowledged, .openable: break
        }
    }

    /// The member whose control stream this is.
    private func slot(of node: NodeID, linkedBy stream: StreamID) -> Int? {
        guard let slot = core.registry.slot(of: node), isLinked(slot, by: stream) else { return nil }
        return slot
    }

    private func isLinked(_ slot: Int, by stream: StreamID) -> Bool { core.registry[slot].link?.stream == stream }

    /// The newest stream that a node opens is its control stream: it opens another only when it has lost one.
    private mutating func opened(
        _ stream: StreamID, of node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) {
        if enrolments.isNew(node) {
            enrolments.opened(stream, of: node)
        } else if let slot = core.registry.slot(of: node) {
            if let old = core.registry[slot].link {
                core.endpoint.value.reset(old.stream, of: node, code: 0, into: &out.mesh)
            }
            core.registry[slot].open(stream)
            let entry = core.registry[slot]
            if entry.heartbeat?.revision != entry.record.revision { core.sendDesired(slot, now: now) }
            certificates.giveOverlayAddress(
                to: slot, shown: core.endpoint.value.certificate(of: node), overlay: overlay, core: &core, now: now,
                into: &out)
            questions.askAgain(slot, core: &core)
        }
        read(stream, of: node, now: now, into: &out)
    }

    private mutating func read(_ stream: StreamID, of node: NodeID, now: Instant, into out: inout ControllerOutbox) {
        if enrolments.isNew(node) {
            return enrolments.readable(
                stream, of: node, &tokens, overlay: overlay, core: &core, now: now, into: &out)
        }
        guard let slot = slot(of: node, linkedBy: stream) else { return }
        while true {
            let input = core.registry[slot].read(from: &core.endpoint.value, into: &out.mesh)
            while let message = core.registry[slot].nextMessage() {
                handle(message, from: slot, now: now, into: &out)
                // A message may have ended the link it came by.
                guard isLinked(slot, by: stream) else { return }
            }
            if input == .end || core.registry[slot].link?.isBroken ?? false {
                core.endpoint.value.reset(stream, of: node, code: 1, into: &out.mesh)
                return core.registry[slot].dropLink()
            }
            if input == .nothing { break }
        }
        core.write(slot)
    }
}
