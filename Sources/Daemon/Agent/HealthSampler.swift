import Base
import Control
import EventLoop
import Health
import Wire

/// Samples the machine periodically: host facts every second, off the loop, because reading a disk's state may take long;
/// accelerators every ten seconds, through the vendor's tool.
final class HealthSampler {
    enum Reading {
        case host(HostStatus)
        case accelerators([AcceleratorStatus])
        /// A problem, reported once when it begins.
        case trouble(String)
    }

    private static let hostEvery = Interval.seconds(1)
    private static let acceleratorsEvery = Interval.seconds(10)
    private static let toolDeadline = Interval.seconds(15)

    private let loop: Loop
    private let source: AcceleratorProbe
    private let onReading: (Reading) -> Void
    private let startedAt: Instant
    private let blocking: Blocking
    private let tool: ToolRunner
    private var hostTimer: Timer?
    private var toolTimer: Timer?
    /// `nil` while a sample is being taken, which then owns it.
    private var probe: HostProbe? = HostProbe()
    private var trace: ReplayTrace?
    private var tracker = AcceleratorTracker()

    init(on loop: Loop, _ source: AcceleratorProbe, onReading: @escaping (Reading) -> Void) {
        self.loop = loop
        self.source = source
        self.onReading = onReading
        startedAt = loop.now
        blocking = Blocking(on: loop, "host facts")
        tool = ToolRunner(on: loop, "accelerators")
    }

    func start() {
        let host = Timer(on: loop, "host facts") { [weak self] in self?.sampleHost() }
        host.arm(every: HealthSampler.hostEvery)
        hostTimer = host
        sampleHost()
        guard source != .none else { return }
        if let path = source.tracePath { readTrace(path) }
        let accelerators = Timer(on: loop, "accelerators") { [weak self] in self?.sampleAccelerators() }
        // A replay has its own times, and costs nothing.
        accelerators.arm(every: trace == nil ? HealthSampler.acceleratorsEvery : .seconds(1))
        toolTimer = accelerators
        sampleAccelerators()
    }

    func close() {
        hostTimer?.close()
        toolTimer?.close()
        blocking.close()
        tool.close()
    }

    private func sampleHost() {
        // The last sample hangs; the next one waits for it.
        guard let taken = probe else { return }
        probe = nil
        let now = loop.now
        blocking.run(
            {
                var probe = taken
                let status = probe.sample(now: now)
                return (probe, status)
            },
            then: { [weak self] result in
                self?.probe = result.0
                self?.onReading(.host(result.1))
            })
    }

    private func readTrace(_ path: String) {
        do {
            trace = try ReplayTrace(parsing: try Files.read(path) ?? [])
        } catch {
            if let problem = tracker.report("\(path): \(error)") { onReading(.trouble(problem)) }
        }
    }

    private func sampleAccelerators() {
        if let trace {
            return apply(.devices(trace.devices(at: loop.now - startedAt)))
        }
        guard !source.command.isEmpty else { return }
        tool.run(source.command, deadline: HealthSampler.toolDeadline) { [weak self] outcome in
            self?.finished(outcome)
        }
    }

    private func finished(_ outcome: ToolRunner.Outcome) {
        switch outcome {
        case .finished(let output, let status): apply(reading(output, exitStatus: status))
        case .killed(let signal): silent("was killed by signal \(signal)")
        case .timedOut: silent("did not answer within \(HealthSampler.toolDeadline.seconds) s: driver unresponsive")
        case .stillHanging: silent("still hangs: driver unresponsive")
        case .notStarted(let error): silent("cannot be started: \(error)")
        }
    }

    private func reading(_ output: [UInt8], exitStatus: Int32) -> AcceleratorTracker.Reading {
        do throws(HealthError) {
            return .devices(try source.parse(output: output, exitStatus: exitStatus))
        } catch {
            return .failed(AcceleratorProbe.devices(after: error, last: tracker.devices), "\(error)")
        }
    }

    private func silent(_ reason: String) { apply(.silent("\(source.command[0]) \(reason)")) }

    private func apply(_ reading: AcceleratorTracker.Reading) {
        if let problem = tracker.apply(reading) { onReading(.trouble(problem)) }
        onReading(.accelerators(tracker.devices))
    }
}
