import Base
import Mesh
import OrderedCollections
import Wire

// Sessions come and go below; here it is known whose they are.

extension Controller {
    mutating func handle(_ event: MeshEvent, now: Instant, into out: inout ControllerOutbox) {
        switch event {
        case .connected(let node, let session): connected(node, session, now: now, into: &out)
        case .disconnected(let node, _):
            newcomers.removeValue(forKey: node)
            if let slot = registry.slot(of: node) { registry[slot].dropLink() }
        case .message(let node, let bytes): received(message: bytes, from: node, now: now, into: &out)
        case .stream(let node, let event): handle(event, of: node, now: now, into: &out)
        case .connectFailed, .pong, .candidatesChanged, .relayUnreached: break
        }
    }

    private mutating func connected(
        _ node: NodeID, _ session: PeerSession, now: Instant, into out: inout ControllerOutbox
    ) {
        guard session.certificate != nil else {
            newcomers[node] = Newcomer(handshakeHash: session.handshakeHash)
            return
        }
        // A certificate of ours for a node that we do not know: it was restored from an older copy of the store.
        guard let slot = registry.slot(of: node) else {
            return endpoint.disconnect(node, now: now, into: &out.mesh)
        }
        registry[slot].dropLink()
        directory.register(
            node, addresses: [], through: [], observed: endpoint.address(of: node), now: now)
    }

    // MARK: - Heartbeats

    private mutating func received(
        message: [UInt8], from node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let slot = registry.slot(of: node) else { return }
        let heartbeat: Heartbeat
        do throws(DecodeError) {
            var reader = ByteReader(message.span.bytes)
            heartbeat = try Heartbeat(reading: &reader)
        } catch { return }
        // Messages may overtake each other; an older one of the same process says nothing new.
        if let last = registry[slot].heartbeat, last.incarnation == heartbeat.incarnation,
            heartbeat.sequence <= last.sequence
        {
            return
        }
        take(heartbeat, slot, now: now, into: &out)
        if let address = endpoint.address(of: node) { directory.observe(node, at: address, now: now) }
        let entry = registry[slot]
        let ack = HeartbeatAck(
            answering: heartbeat, revision: entry.record.revision, details: entry.knownDetails,
            workers: entry.knownWorkers)
        endpoint.send(ack.encoded(), to: node, now: now)
        if heartbeat.revision != entry.record.revision { sendDesired(slot, now: now) }
    }

    private mutating func take(
        _ heartbeat: Heartbeat, _ slot: Int, now: Instant, into out: inout ControllerOutbox
    ) {
        let before = registry[slot].heartbeat
        let wall = clock.wall(now)
        registry[slot].heartbeat = heartbeat
        registry[slot].heardWall = wall
        var changes: [StoreChange] = []
        if let before, before.incarnation != heartbeat.incarnation {
            changes.append(record(.nodeRestarted, "the agent was started again", slot: slot, now: now))
            registry[slot].knownDetails = 0
            registry[slot].knownWorkers = 0
        }
        if heartbeat.state == .leaving {
            if registry[slot].state != .left {
                registry.left(slot)
                changes.append(record(.nodeLeft, "the agent said goodbye", slot: slot, now: now))
            }
        } else if registry.heard(slot, now: now) {
            changes.append(record(.nodeOnline, "heartbeats arrive", slot: slot, now: now))
        }
        if heartbeat.worst != registry[slot].verdict {
            let text = "\(registry[slot].verdict.rawValue) to \(heartbeat.worst.rawValue)"
            registry[slot].verdict = heartbeat.worst
            changes.append(record(.verdictChanged, text, slot: slot, now: now))
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
        case .writable(let stream):
            if let slot = registry.slot(of: node), registry[slot].stream == stream { write(slot) }
        case .reset(let stream, _), .stopped(let stream, _), .closed(let stream):
            newcomers[node]?.close(stream)
            if let slot = registry.slot(of: node), registry[slot].stream == stream { registry[slot].dropLink() }
        case .acknowledged, .openable: break
        }
    }

    /// The newest stream that a node opens is its control stream: it opens another only when it has lost one.
    private mutating func opened(
        _ stream: StreamID, of node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) {
        if newcomers[node] != nil {
            newcomers[node]?.stream = stream
            newcomers[node]?.channel = MessageChannel()
        } else if let slot = registry.slot(of: node) {
            if let old = registry[slot].stream { endpoint.reset(old, of: node, code: 0, into: &out.mesh) }
            registry[slot].dropLink()
            registry[slot].stream = stream
            if registry[slot].heartbeat?.revision != registry[slot].record.revision { sendDesired(slot, now: now) }
            giveOverlayAddress(slot, shown: endpoint.certificate(of: node), now: now, into: &out)
            askAgain(slot)
        }
        read(stream, of: node, now: now, into: &out)
    }

    private mutating func read(_ stream: StreamID, of node: NodeID, now: Instant, into out: inout ControllerOutbox) {
        if let newcomer = newcomers[node] {
            guard newcomer.stream == stream else { return }
            return readNewcomer(node, stream, now: now, into: &out)
        }
        guard let slot = registry.slot(of: node), registry[slot].stream == stream else { return }
        while registry[slot].stream == stream {
            let result = endpoint.read(stream, of: node, limit: registry[slot].channel.room, into: &out.mesh)
            registry[slot].channel.receive(result.bytes)
            while let message = registry[slot].channel.nextMessage() {
                handle(message, from: slot, now: now, into: &out)
                guard registry[slot].stream == stream else { return }
            }
            if registry[slot].channel.isBroken || result.isFinished {
                endpoint.reset(stream, of: node, code: 1, into: &out.mesh)
                return registry[slot].dropLink()
            }
            if result.bytes.isEmpty { break }
        }
        write(slot)
    }

    /// Queues a message for an agent. False if there is no stream to it, or too much waits already: then the stream is
    /// given up, and the agent opens another, on which the newest state goes first.
    @discardableResult
    mutating func send(_ message: ControlMessage, to slot: Int) -> Bool {
        guard registry[slot].stream != nil, registry[slot].channel.send(message) else { return false }
        write(slot)
        return true
    }

    private mutating func write(_ slot: Int) {
        guard let stream = registry[slot].stream else { return }
        let node = registry[slot].record.node
        while registry[slot].channel.hasUnsent {
            let count = endpoint.write(registry[slot].channel.unsent(limit: 256 << 10), to: stream, of: node)
            guard count > 0 else { return }
            registry[slot].channel.taken(count)
        }
    }

    /// Sends the whole desired state, at most twice a second: the agent's heartbeat says whether it has arrived.
    mutating func sendDesired(_ slot: Int, now: Instant) {
        let entry = registry[slot]
        guard entry.stream != nil else { return }
        if entry.sentRevision == entry.record.revision, now - entry.sentAt < .milliseconds(500) { return }
        let whole = Desired(revision: entry.record.revision, upserts: Array(entry.desired.values))
        if send(.desired(whole), to: slot) { sent(slot, now: now) }
    }

    /// Sends an edit, if the agent has been sent what it is an edit of.
    mutating func sendEdit(_ slot: Int, upserts: [DesiredWorker], removals: [String], now: Instant) {
        let entry = registry[slot]
        let base = entry.record.revision - 1
        let isNext = entry.sentRevision == base || (entry.sentRevision == nil && entry.heartbeat?.revision == base)
        guard isNext, base > 0 else { return sendDesired(slot, now: now) }
        let edit = Desired(
            revision: entry.record.revision, baseRevision: base, upserts: upserts, removals: removals)
        if send(.desired(edit), to: slot) { sent(slot, now: now) }
    }

    private mutating func sent(_ slot: Int, now: Instant) {
        registry[slot].sentRevision = registry[slot].record.revision
        registry[slot].sentAt = now
    }

    mutating func sayGoodbye(now: Instant, into out: inout ControllerOutbox) {
        for summary in endpoint.summaries(now: now) { endpoint.disconnect(summary.node, now: now, into: &out.mesh) }
    }
}

extension Newcomer {
    mutating func close(_ closed: StreamID) {
        guard stream == closed else { return }
        stream = nil
        channel = MessageChannel()
    }
}
