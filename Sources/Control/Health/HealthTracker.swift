import Base
import Wire

/// What is known of the machine, and what of it is reported. Loads change with every sample and travel in heartbeats.
/// Details are published at once when something changed that an operator would act upon. Otherwise they are published
/// every ten seconds at most, since each publication costs a report.
struct HealthTracker: Sendable {
    private(set) var host: HostStatus?
    private(set) var accelerators: [AcceleratorStatus] = []
    /// Heartbeats carry the digest of this, and reports carry the details.
    private(set) var published = HealthReport(host: nil, accelerators: [])
    private var publishedAt: Instant?
    private var isDirty = false

    static let publishEvery = Interval.seconds(10)

    mutating func update(host: HostStatus, now: Instant) {
        self.host = host
        isDirty = true
        if published.host == nil { publish(now) } else { tick(now: now) }
    }

    mutating func update(accelerators: [AcceleratorStatus], now: Instant) {
        let isUrgent = urgent(accelerators) != urgent(published.accelerators)
        self.accelerators = Array(accelerators.prefix(Limits.acceleratorsPerNode))
        isDirty = true
        if isUrgent { publish(now) } else { tick(now: now) }
    }

    var deadline: Deadline? {
        guard isDirty, let publishedAt else { return nil }
        return Deadline(publishedAt + HealthTracker.publishEvery, "health report")
    }

    mutating func tick(now: Instant) {
        guard isDirty else { return }
        if let publishedAt, now - publishedAt < HealthTracker.publishEvery { return }
        publish(now)
    }

    private mutating func publish(_ now: Instant) {
        published = HealthReport(host: host, accelerators: accelerators)
        publishedAt = now
        isDirty = false
    }

    /// What an operator would act upon: which devices there are, and their verdicts.
    private func urgent(_ devices: [AcceleratorStatus]) -> [AcceleratorStatus] {
        devices.map { device in
            var essence = AcceleratorStatus(vendor: device.vendor, index: device.index)
            essence.uuid = device.uuid
            essence.verdict = device.verdict
            essence.evidence = device.evidence
            return essence
        }
    }

    // MARK: - What heartbeats carry

    var worst: Verdict {
        accelerators.map(\.verdict).max() ?? (host == nil ? .unknown : .healthy)
    }

    var processorLoad: UInt8 { percent(host?.processorUsePermille.map { $0 / 10 }) }

    var memoryLoad: UInt8 {
        guard let total = host?.memoryTotalBytes, let available = host?.memoryAvailableBytes, total >= 100 else {
            return Heartbeat.unknownLoad
        }
        return percent((total - available) / (total / 100))
    }

    var acceleratorLoad: UInt8 {
        let known = accelerators.compactMap(\.utilizationPercent)
        return known.isEmpty
            ? Heartbeat.unknownLoad : percent(known.reduce(0) { $0 + min(100, $1) } / Int64(known.count))
    }

    private func percent(_ value: Int64?) -> UInt8 {
        value.map { UInt8(max(0, min(100, $0))) } ?? Heartbeat.unknownLoad
    }
}
