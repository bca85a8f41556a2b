import Base
package import Control
package import EventLoop
package import Logging
package import Mesh
import Platform

/// # NAT discovery of this node
///
/// Runs `NATDiscovery` for each family of addresses that the configured servers have, when the node starts, when its addresses
/// change and when somebody asks; then, once a day at most and in the background, `LifetimeDiscovery`. Names are resolved again
/// for each discovery, since servers move. Without servers nothing is sent, and there is nothing to report.
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
    /// Of the present or the last discovery.
    private var runs: [NATDiscoveryRun<NATDiscovery>] = []
    private var isRunning = false
    /// Something has changed since it began.
    private var isStale = false
    private var waiting: [() -> Void] = []
    private var lifetimeRun: NATDiscoveryRun<LifetimeDiscovery>?
    private var lifetimeBegan: Instant?
    private var last: NATDiscoveryReport
    /// Reported what is known of how long mappings live; `nil` when that is nothing any more.
    package var onLifetime: ((NATLifetime?) -> Void)?

    /// A person waits so long for the end of a NAT discovery, and is then reported what is known by then.
    private static let patience = Interval.seconds(8)
    /// A name that takes longer is done without.
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
        patience = Timer(on: loop, "somebody waits for a NAT discovery") { me.object?.release() }
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

    /// What is known: of the discovery that runs, what it has found so far.
    package var report: NATDiscoveryReport {
        var report = last
        if isRunning, !isResolving { collect(into: &report) }
        return report
    }

    /// Asks other servers from here on. What those before have found is forgotten.
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

    /// The node is somewhere else than it was: runs NAT discovery again, and forgets what a mapping's life was there.
    package func begin() {
        guard !servers.isEmpty else { return }
        lifetimeRun?.close()
        (lifetimeRun, last.lifetime) = (nil, nil)
        onLifetime?(nil)
        start()
    }

    /// Runs NAT discovery again; `then` is called at its end, or when it has taken too long for a person. At once where
    /// there is nobody to ask.
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
        // The answer may be about a server that is not asked any more.
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

    /// Anyone who waits waits no longer.
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

    /// Where something keeps state that can run out, and a server is there that may answer to other ports.
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
        } catch { log.notice("the life of mappings is not measured", metadata: ["reason": "\(error.message)"]) }
    }

    private func measuredLifetime() {
        guard let result = lifetimeRun?.machine.result else { return }
        last.lifetime = result
        lifetimeRun = nil
        guard let life = result.value else { return }
        let below = life.below.map { "\($0)" } ?? "unknown"
        onLifetime?(life)
        log.info("a mapping's life", metadata: ["atLeast": "\(life.atLeast)", "below": "\(below)"])
    }
}
