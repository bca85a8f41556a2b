import Base
import Control
import EventLoop
import Logging
import Wire

/// What the agent reports, as lines of the log that an operator reads.
final class AgentLog {
    private let log: Logger
    private var lines: OperatorLog
    private let names: HostNames

    /// `names` has the reasons why names of controllers have no address.
    init(_ log: Logger, on loop: Loop, names: HostNames) {
        self.log = log
        self.names = names
        lines = OperatorLog(log, on: loop)
    }

    func report(_ notice: AgentNotice) {
        switch notice {
        case .joined(let name, let fleet): lines.write(.notice, "joined", ["fleet": fleet.hex, "name": name])
        case .joinRefused(let why): lines.write(.error, "not joined", ["reason": why])
        case .joinWaiting(let places):
            lines.write(.warning, "not joined yet: no controller answers", ["places": text(places)])
        case .controllersChanged(let places):
            lines.write(.notice, "the token names other addresses of the controller", ["places": text(places)])
        case .controllerAbsent(let places):
            lines.write(.warning, "no controller answers", ["places": text(places)])
        case .controllerLost(let node, let loss):
            lines.write(.warning, "controller lost", ["controller": node.short, "reason": loss.rawValue])
        case .controllerFound(let node, nil):
            lines.write(.notice, "connected to the controller", ["controller": node.short])
        case .controllerFound(let node, let after?):
            let metadata = ["controller": node.short, "after": "\(after.milliseconds / 1000) s"]
            lines.write(.notice, "controller found again", metadata)
        case .clockDiffers(let own, let controller):
            lines.write(
                .warning, "this node's clock differs from the controller's",
                ["node": "\(own)", "controller": "\(controller)"])
        case .clockAgrees: lines.write(.notice, "this node's clock agrees with the controller's again")
        case .certificateEnds(let at):
            lines.write(.warning, "the certificate ends soon and is not renewed", ["at": "\(at)"])
        case .describedAs(let description):
            let labels = description.labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            lines.write(
                .notice, "a certificate with the configured name, site and labels is in force",
                ["name": description.name ?? "", "site": description.site, "labels": labels])
        case .descriptionRefused(let why):
            lines.write(
                .error, "the controller does not accept this node's name, site or labels; the old ones stay",
                ["reason": why])
        }
    }

    func report(_ event: WorkerEvent) {
        switch event {
        case .started(let worker, let start):
            lines.write(.info, "worker started", ["worker": "\(worker)", "pid": "\(start.pid)"])
        case .launchFailed(let worker, let problem):
            log.warning("launch failed", metadata: ["worker": "\(worker)", "reason": "\(problem)"])
        case .stuck(let worker, let processes):
            log.warning("worker cannot be killed", metadata: ["worker": "\(worker)", "pids": "\(processes)"])
        case .exited(let worker, let end):
            log.info("worker ended", metadata: ["worker": "\(worker)", "exit": "\(end.exit)"])
        case .lost(let worker, _):
            log.warning("worker lost: its shim was killed", metadata: ["worker": "\(worker)"])
        }
    }

    func report(_ event: BenchHost.Event) {
        switch event {
        case .serving(_, let tcpPort, let udpPort, _):
            log.info("serving a measurement for a peer", metadata: ["tcp": "\(tcpPort)", "udp": "\(udpPort)"])
        case .ended(_, let why): log.info("the measurement has ended", metadata: ["reason": "\(why)"])
        }
    }

    private func text(_ places: [String]) -> String {
        places.map { place in
            guard let name = HostPort(place), let problem = names.problem(of: name) else { return place }
            return "\(place) (\(problem))"
        }.joined(separator: ", ")
    }
}
