import Base
import Mesh
import Wire

// What the agent tells of itself beside the heartbeat.

extension Agent {
    mutating func serviceReports(now: Instant) {
        guard case .member = standing, uplink.link != nil else { return }
        if let due = reports.changeReportAt, due <= now {
            reports.tookChange(now: now)
            if let report = reports.refresh(supervisor.statuses) { tell(workers: report) }
        }
        guard reports.wantsHealth || reports.wantsWorkers else { return }
        tell(
            health: reports.wantsHealth ? health.published : nil,
            workers: reports.wantsWorkers ? WorkersReport(supervisor.statuses) : nil)
    }

    /// Not sent where there is no room: the next answer to a heartbeat will ask for it.
    mutating func tell(health: HealthReport? = nil, workers: WorkersReport? = nil) {
        var report = Report(sequence: reports.sequence + 1, agentVersion: configuration.version)
        report.health = health
        report.workers = workers
        report.containment = configuration.containment
        guard send(.report(report)) else { return }
        counters.reportsSent += 1
        reports.told(report, heartbeat: sequence)
    }

    /// Addresses for the directory, and the certificate's renewal.
    mutating func serviceMembership(now: Instant) {
        guard case .member(let membership) = standing, uplink.link != nil, departure == .none else { return }
        if let due = registerAt, due <= now {
            var addresses: [SocketAddress] = [], places: [RelayPlace] = []
            for candidate in endpoint.candidates {
                switch candidate {
                case .direct(let address): addresses.append(address)
                case .relayed(let place): places.append(place)
                }
            }
            send(.register(Register(addresses: addresses, relays: places, tcpPorts: configuration.tcpPorts)))
            registerAt = now + Agent.registerEvery
        }
        if let due = renewalAt, due <= now {
            let wait = membership.renewalTime - clock.wall(now)
            if wait <= .zero {
                send(.renewCertificate(nil))
                renewalAt = now + .minutes(1)
            } else {
                // Not further ahead than the wall clock can be trusted to be.
                renewalAt = now + min(wait, .minutes(60))
            }
        }
    }

    mutating func answer(_ read: LogRead) {
        let isFinal = read.isAtEnd && (supervisor.newest(of: read.worker.name)?.state.isFinal ?? true)
        send(
            .logChunk(
                LogChunk(
                    operation: read.operation, worker: read.worker.name, offset: read.offset,
                    bytes: Array(read.bytes.prefix(Limits.logChunkBytes)), nextOffset: read.nextOffset,
                    isFinal: isFinal, problem: read.problem)))
    }
}
