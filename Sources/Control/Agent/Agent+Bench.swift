import Base
import Mesh
import Wire

// Measuring the way to a peer: what the local user asks, what peers ask, and what the shell's servers say. The measuring
// itself is done by programs, over the overlay.

// MARK: - This node asks

extension Agent {
    mutating func begin(_ bench: AgentRequest.Bench, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let seconds = bench.seconds ?? 20
        guard (1...Int64(Limits.benchSeconds)).contains(seconds) else {
            let why = "must be 1 to \(Limits.benchSeconds), not \(seconds)"
            return refuse(id, .invalid, why, field: "seconds", into: &out)
        }
        guard configuration.mesh.hasDataPlane else {
            return refuse(id, .unavailable, "this node has no network interface of the overlay", into: &out)
        }
        guard benches.jobs.count < Limits.benchJobs else {
            return refuse(id, .limit, "\(Limits.benchJobs) measurements are being begun", into: &out)
        }
        guard let (asked, known) = target(bench.peer, id, now: now, into: &out) else { return }
        var job = BenchBoard.Job(
            request: id, asked: asked, name: known?.name, seconds: UInt8(seconds),
            stage: .finding(until: now + BenchBoard.connectPatience))
        if case .node(let node) = asked { job.node = node }
        let isConnected = job.node.map { endpoint.isConnected($0) } ?? false
        guard isConnected || send(.lookUp(asked)) else {
            return refuse(id, .unavailable, "no session with it, and no controller to ask for it", into: &out)
        }
        benches.jobs.append(job)
        if isConnected, let node = job.node { benchConnected(node, now: now, into: &out) }
    }

    /// There is a session with `node`: whoever waits for it asks.
    mutating func benchConnected(_ node: NodeID, now: Instant, into out: inout AgentOutbox) {
        for index in benches.jobs.indices where benches.jobs[index].node == node && benches.jobs[index].isFinding {
            // Without a stream the job waits until its time is over; nobody has a thousand streams to an agent.
            guard let stream = endpoint.openStream(to: node) else { continue }
            // A new stream has room for eight bytes.
            _ = endpoint.write(BenchRequest(seconds: benches.jobs[index].seconds).encoded(), to: stream, of: node)
            endpoint.finish(stream, of: node)
            benches.jobs[index].name = endpoint.certificate(of: node)?.name
            benches.jobs[index].stage = .asking(stream, until: now + BenchBoard.answerPatience)
        }
    }

    private mutating func readAnswer(_ index: Int, _ stream: StreamID, into out: inout AgentOutbox) {
        guard let node = benches.jobs[index].node else { return }
        let room = BenchAnswer.size + 1 - benches.jobs[index].bytes.count
        let read = endpoint.read(stream, of: node, limit: room, into: &out.mesh)
        benches.jobs[index].bytes += read.bytes
        guard read.isFinished || benches.jobs[index].bytes.count > BenchAnswer.size else { return }
        let job = benches.jobs.remove(at: index)
        if !read.isFinished { endpoint.reset(stream, of: node, code: 1, into: &out.mesh) }
        let who = job.name ?? node.short
        let answer: BenchAnswer
        do throws(DecodeError) {
            var reader = ByteReader(job.bytes.span.bytes)
            answer = try BenchAnswer(reading: &reader)
        } catch {
            counters.messagesUnreadable += 1
            return refuse(job.request, .refused, "\(who) gave an answer that cannot be read", into: &out)
        }
        switch answer {
        case .refused(.busy):
            refuse(job.request, .unavailable, "\(who) is being measured by others already", into: &out)
        case .refused(.noOverlay):
            refuse(job.request, .unavailable, "\(who) has no network interface of the overlay", into: &out)
        case .refused(.failed): refuse(job.request, .unavailable, "\(who) cannot start its server", into: &out)
        case .serving(let server): told(server, job, node, into: &out)
        }
    }

    private mutating func told(
        _ server: BenchAnswer.Server, _ job: BenchBoard.Job, _ node: NodeID, into out: inout AgentOutbox
    ) {
        // Where it listens is what its certificate says: an answer that could name addresses could aim this node.
        let addresses = endpoint.certificate(of: node)?.overlayAddresses ?? []
        guard let address = addresses.first(where: { $0.isIPv4 == server.isIPv4 }) else {
            return refuse(
                job.request, .refused, "\(job.name ?? node.short) listens at an address that it does not have",
                into: &out)
        }
        let view = BenchView(
            node: node, name: job.name, address: address, tcpPort: Int(server.tcpPort), udpPort: Int(server.udpPort),
            token: server.token.hex, seconds: Int64(job.seconds))
        out.actions.append(.reply(job.request, .success(.bench(view))))
    }
}

// MARK: - A peer asks

extension Agent {
    private func mayBench(_ node: NodeID) -> Bool {
        guard let own = standing.membership?.certificate, let peer = endpoint.certificate(of: node) else {
            return false
        }
        switch configuration.bench {
        case .off: return false
        case .allow: return true
        case .auto:
            return PeerPolicy(own: own, peer: peer, rules: configuration.mesh.policy).allowsEverything
        }
    }

    /// Somebody has opened a stream. Nobody is heard on one but a peer that wants to measure.
    mutating func welcome(_ stream: StreamID, of node: NodeID, now: Instant, into out: inout AgentOutbox) {
        guard departure == .none, mayBench(node), benches.askingCount < Limits.benchGuests else {
            return refuse(stream, of: node, into: &out)
        }
        benches.guests.append(
            BenchBoard.Guest(node: node, stream: stream, until: now + BenchBoard.requestPatience))
    }

    private mutating func refuse(_ stream: StreamID, of node: NodeID, into out: inout AgentOutbox) {
        counters.streamsRefused += 1
        endpoint.reset(stream, of: node, code: 1, into: &out.mesh)
    }

    private mutating func readRequest(_ index: Int, now: Instant, into out: inout AgentOutbox) {
        let guest = benches.guests[index]
        guard guest.stage == .asking else { return }
        let room = BenchRequest.size + 1 - guest.bytes.count
        let read = endpoint.read(guest.stream, of: guest.node, limit: room, into: &out.mesh)
        benches.guests[index].bytes += read.bytes
        let bytes = benches.guests[index].bytes
        guard read.isFinished || bytes.count > BenchRequest.size else { return }
        let request: BenchRequest
        do throws(DecodeError) {
            var reader = ByteReader(bytes.span.bytes)
            request = try BenchRequest(reading: &reader)
        } catch {
            benches.guests.remove(at: index)
            return refuse(guest.stream, of: guest.node, into: &out)
        }
        guard configuration.mesh.hasDataPlane, let place = overlay, let peer = endpoint.certificate(of: guest.node)
        else { return answer(index, .refused(.noOverlay)) }
        guard benches.serverCount < Limits.benchServers else { return answer(index, .refused(.busy)) }
        let number = benches.nextNumber(), seconds = Int64(request.seconds)
        let address4 = peer.overlay4Given == nil ? nil : place.v4
        benches.guests[index].stage = .starting(number: number, isIPv4: address4 != nil, seconds: seconds)
        benches.guests[index].until = now + BenchBoard.startPatience
        out.actions.append(
            .benchServe(BenchService(number: number, address: address4 ?? place.v6, seconds: seconds)))
    }

    /// The last word to a guest; without a server it is then forgotten.
    private mutating func answer(_ index: Int, _ answer: BenchAnswer) {
        let guest = benches.guests[index]
        // A new stream has room for 29 bytes.
        _ = endpoint.write(answer.encoded(), to: guest.stream, of: guest.node)
        endpoint.finish(guest.stream, of: guest.node)
        if case .refused = answer { benches.guests.remove(at: index) }
    }

    /// The shell's server listens.
    mutating func benchServing(
        _ number: UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8], now: Instant, into out: inout AgentOutbox
    ) {
        guard let index = benches.guest(number),
            case .starting(_, let isIPv4, let seconds) = benches.guests[index].stage
        else { return out.actions.append(.benchEnd(number)) }
        benches.guests[index].until = now + .seconds(seconds) + BenchBoard.grace
        answer(
            index, .serving(BenchAnswer.Server(isIPv4: isIPv4, tcpPort: tcpPort, udpPort: udpPort, token: token)))
        benches.guests[index].stage = .serving(number: number)
        counters.benchesServed += 1
    }

    /// The shell's server is gone, or could not be started.
    mutating func benchEnded(_ number: UInt64) {
        guard let index = benches.guest(number) else { return }
        if case .starting = benches.guests[index].stage {
            answer(index, .refused(.failed))
        } else {
            benches.guests.remove(at: index)
        }
    }
}

// MARK: - Streams and time

extension Agent {
    mutating func benchReadable(_ stream: StreamID, of node: NodeID, now: Instant, into out: inout AgentOutbox) {
        if let index = benches.job(stream, of: node) {
            readAnswer(index, stream, into: &out)
        } else if let index = benches.guest(stream, of: node) {
            readRequest(index, now: now, into: &out)
        }
    }

    /// The peer has given the stream up.
    mutating func benchLost(_ stream: StreamID, of node: NodeID, into out: inout AgentOutbox) {
        if let index = benches.job(stream, of: node) {
            let job = benches.jobs.remove(at: index)
            let why = "\(job.name ?? node.short) does not let itself be measured (asterismd --bench)"
            refuse(job.request, .refused, why, into: &out)
        } else if let index = benches.guest(stream, of: node) {
            dismiss(index, into: &out)
            endpoint.reset(stream, of: node, code: 0, into: &out.mesh)
        }
    }

    /// With the session its streams are gone. A server goes on: the next session is the same way.
    mutating func benchDisconnected(_ node: NodeID, into out: inout AgentOutbox) {
        for id in benches.take(where: { $0.node == node && !$0.isFinding }) {
            refuse(id, .unavailable, "the session with \(node.short) has ended", into: &out)
        }
        for index in benches.guests.indices.reversed()
        where benches.guests[index].node == node && benches.guests[index].isOnStream {
            dismiss(index, into: &out)
        }
    }

    private mutating func dismiss(_ index: Int, into out: inout AgentOutbox) {
        if let number = benches.guests.remove(at: index).number { out.actions.append(.benchEnd(number)) }
    }

    mutating func serviceBenches(now: Instant, into out: inout AgentOutbox) {
        guard let deadline = benches.deadline, deadline.at <= now else { return }
        for job in benches.jobs where job.until <= now {
            if case .asking(let stream, _) = job.stage, let node = job.node {
                endpoint.reset(stream, of: node, code: 0, into: &out.mesh)
                refuse(job.request, .timeout, "\(job.name ?? node.short) does not answer", into: &out)
            } else {
                refuse(job.request, .timeout, "no session came about", into: &out)
            }
        }
        benches.jobs.removeAll { $0.until <= now }
        for index in benches.guests.indices.reversed() where benches.guests[index].until <= now {
            let guest = benches.guests[index]
            switch guest.stage {
            case .asking:
                benches.guests.remove(at: index)
                refuse(guest.stream, of: guest.node, into: &out)
            case .starting(let number, _, _):
                answer(index, .refused(.failed))
                out.actions.append(.benchEnd(number))
            case .serving: dismiss(index, into: &out)
            }
        }
    }
}
