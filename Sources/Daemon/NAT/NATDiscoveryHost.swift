import Base
package import Control
package import EventLoop
package import Logging
package import Mesh
import Platform

/// # NAT discovery of this node
///
/// Runs `NATDiscovery` for each family of addresses that the configured servers have, when the node starts, when its
/// addresses change and on request; then, once a day at most and in the background, `LifetimeDiscovery`. Names are resolved
/// again for each discovery, since servers move. Without servers nothing is sent, and there is nothing to report.
package final class NATDiscoveryHost {
    private let loop: Loop
    private var servers: [STUNServer]
    private let log: Logger
    private let overlay: String?
    private let resolver: Blocking
    private var timer: Timer!
    private var patience: Timer!
    private var resolved: [NATDiscoveryReport.Server?] = []
    private var isResolving = false
    /// The runs of the current or the last discovery.
    private var runs: [NATDiscoveryRun<NATDiscovery>] = []
    private var isRunning = false
    /// The network has changed since it began.
    private var isStale = false
    private var waiting: [() -> Void] = []
    private var lifetimeRun: NATDiscoveryRun<LifetimeDiscovery>?
    private var lifetimeBegan: Instant?
    private var last: NATDiscoveryReport
    /// Called with what is known of how long mappings live; with `nil` when that is no longer valid.
    package var onLifetime: ((NATLifetime?) -> Void)?

    /// How long a person waits for the end of a NAT discovery; then the result so far is returned.
    private static let patience = Interval.seconds(8)
    /// A name that takes longer is skipped.
    private static let resolvePatience = Interval.seconds(3)
    private static let lifetimeEvery = Interval.seconds(86_400)

    package init(on loop: Loop, servers: [STUNServer], log: Logger, overlay: String?) {
        self.loop = loop
        self.servers = servers
        self.log = log
        self.overlay = overlay
        last = NATDiscoveryReport(servers: servers.map { NATDiscoveryReport.Server(name: "\($0)") })
        resolver = Blocking(on: loop, "names of STUN servers")
        let me = Weak<NATDiscoveryHost>()
        timer = Timer(on: loop, "names of STUN servers") { me.object?.discovery() }
        patience = Timer(on: loop, "a wait for a NAT discovery") { me.object?.release() }
        me.object = self
    }

    package func close() {
        resolver.close()
        timer.close()
        patience.close()
        for run in runs { run.close() }
        lifetimeRun?.close()
        (runs, lifetimeRun, waiting, onLifetime) = ([], nil, [], nil)
    }

    /// What is known; while a discovery runs, what it has found so far.
    package var report: NATDiscoveryReport {
        var report = last
        if isRunning, !isResolving { collect(into: &report) }
        return report
    }

    /// Uses other servers from now on. What the previous ones have found is discarded.
    package func use(_ servers: [STUNServer]) {
        guard servers != self.servers else { return }
        timer.cancel()
        for run in runs { run.close() }
        lifetimeRun?.close()
        (runs, lifetimeRun, isRunning, isResolving, isStale) = ([], nil, false, false, false)
        lifetimeBegan = nil
        self.servers = servers
        last = NATDiscoveryReport(servers: servers.map { NATDiscoveryReport.Server(name: "\($0)") })
        onLifetime?(nil)
        if servers.isEmpty { release() } else { start() }
    }

    /// The node is in another network: runs NAT discovery again, and discards the mapping lifetime of the old one.
    package func begin() {
        guard !servers.isEmpty else { return }
        lifetimeRun?.close()
        (lifetimeRun, last.lifetime) = (nil, nil)
        onLifetime?(nil)
        start()
    }

    /// Runs NAT discovery again; `then` is called at its end, or when it has taken too long for a person; at once where there
    /// are no servers.
    package func freshen(then: @escaping () -> Void) {
        guard !servers.isEmpty else { return then() }
        waiting.append(then)
        if waiting.count == 1 { patience.arm(after: NATDiscoveryHost.patience) }
        if !isRunning { start() }
    }

    // MARK: -

    private func start() {
        guard !isRunning else {
            isStale = true
            return
        }
        isRunning = true
        isResolving = true
        resolved = servers.map { server in
            server.address.map { NATDiscoveryReport.Server(name: "\(server)", addresses: [$0]) }
        }
        for (place, server) in servers.enumerated() where server.address == nil {
            resolver.run({ server.resolve() }) { [weak self] result in self?.resolved(place, server, result) }
        }
        if resolved.allSatisfy({ $0 != nil }) {
            discovery()
        } else {
            timer.arm(after: NATDiscoveryHost.resolvePatience)
        }
    }

    private func resolved(
        _ place: Int, _ server: STUNServer, _ result: Result<[SocketAddress], ResolveError>
    ) {
        // The answer may be about a server that is no longer used.
        guard isResolving, servers.indices.contains(place), servers[place] == server, resolved[place] == nil else {
            return
        }
        let name = "\(servers[place])"
        switch result {
        case .success(let addresses):
            let problem = addresses.isEmpty ? "its name has no address that this machine could use" : nil
            resolved[place] = NATDiscoveryReport.Server(name: name, addresses: addresses, problem: problem)
        case .failure(let error):
            resolved[place] = NATDiscoveryReport.Server(
                name: name, problem: "its name cannot be resolved: \(error.message)")
        }
        if resolved.allSatisfy({ $0 != nil }) { discovery() }
    }

    private func discovery() {
        guard isResolving else { return }
        timer.cancel()
        isResolving = false
        last.servers = zip(servers, resolved).map { server, found in
            found ?? NATDiscoveryReport.Server(name: "\(server)", problem: "its name was not resolved in time")
        }
        let own = LocalAddresses.named().filter { $0.interface != overlay }.map(\.address)
        runs = [IPAddress.any4, .any6].compactMap { any in
            let addresses = last.servers.flatMap(\.addresses).filter { $0.ip.isIPv4 == any.isIPv4 }
            return addresses.isEmpty ? nil : run(addresses, any, own)
        }
        if runs.isEmpty { ended() }
    }

    private func run(_ addresses: [SocketAddress], _ any: IPAddress, _ own: [IPAddress]) -> NATDiscoveryRun<
        NATDiscovery
    >? {
        do throws(Errno) {
            return try NATDiscoveryRun(
                on: loop, "NAT discovery", count: NATDiscovery.sockets, any: any,
                { ports, out in
                    NATDiscovery(
                        servers: addresses, own: own, ports: ports, seed: Entropy.seed(), now: loop.now, into: &out)
                }, onEnd: { [weak self] in self?.ended() })
        } catch {
            log.notice(
                "no NAT discovery", metadata: ["family": any.isIPv4 ? "IPv4" : "IPv6", "reason": "\(error.message)"])
            return nil
        }
    }

    private func ended() {
        guard isRunning, runs.allSatisfy({ $0.machine.isDone }) else { return }
        collect(into: &last)
        last.endedAt = loop.now
        for run in runs { run.close() }
        runs = []
        isRunning = false
        publish()
        if isStale {
            isStale = false
            return start()
        }
        measureLifetime()
        release()
    }

    private func collect(into report: inout NATDiscoveryReport) {
        (report.ipv4, report.ipv6) = (nil, nil)
        for run in runs {
            let findings = run.machine.findings
            if findings.servers.first?.address.ip.isIPv4 ?? true {
                report.ipv4 = findings
            } else {
                report.ipv6 = findings
            }
        }
    }

    /// Ends all waits.
    private func release() {
        patience.cancel()
        let waiting = waiting
        self.waiting = []
        for then in waiting { then() }
    }

    private func publish() {
        guard let found = last.ipv4 ?? last.ipv6 else { return }
        func text<Value>(_ finding: NATFinding<Value>) -> String {
            finding.value.map { "\($0)" } ?? "unknown"
        }
        log.info(
            "NAT discovery",
            metadata: [
                "udp": "\(text(found.udp))", "seen": "\(found.reflexive.map { "\($0)" } ?? "unknown")",
                "mapping": "\(text(found.mapping))", "filtering": "\(text(found.filtering))",
                "ports": "\(text(found.ports))",
            ])
    }

    // MARK: - Lifetime

    /// Runs where a NAT or firewall keeps state that can expire, and a server can answer to other ports.
    private func measureLifetime() {
        guard lifetimeRun == nil, let found = last.ipv4 else { return }
        if found.mapping == .known(.none), found.filtering == .known(.endpointIndependent) { return }
        if let lifetimeBegan, loop.now - lifetimeBegan < NATDiscoveryHost.lifetimeEvery { return }
        let able = found.servers.first { server in
            if case .answered = server.outcome { server.other != nil } else { false }
        }
        guard let server = able?.address else { return }
        lifetimeBegan = loop.now
        do throws(Errno) {
            lifetimeRun = try NATDiscoveryRun(
                on: loop, "lifetime", count: LifetimeDiscovery.sockets, any: .any4,
                { _, out in LifetimeDiscovery(server: server, seed: Entropy.seed(), now: loop.now, into: &out) },
                onEnd: { [weak self] in self?.measuredLifetime() })
            last.lifetime = .unknown(.pending)
        } catch { log.notice("the lifetime of NAT mappings is not measured", metadata: ["reason": "\(error.message)"]) }
    }

    private func measuredLifetime() {
        guard let result = lifetimeRun?.machine.result else { return }
        last.lifetime = result
        lifetimeRun = nil
        guard let life = result.value else { return }
        let below = life.below.map { "\($0)" } ?? "unknown"
        onLifetime?(life)
        log.info("lifetime of a NAT mapping", metadata: ["atLeast": "\(life.atLeast)", "below": "\(below)"])
    }
}
