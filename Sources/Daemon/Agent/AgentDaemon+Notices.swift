import Base
import Control
import Logging
import Wire

// The agent's notices as lines of the log, and its state as systemd shows it.

extension AgentDaemon {
    func log(_ notice: AgentNotice) {
        switch notice {
        case .joined(let name, let fleet): operatorLog.write(.notice, "joined", ["fleet": fleet.hex, "name": name])
        case .joinRefused(let why): operatorLog.write(.error, "not joined", ["reason": why])
        case .joinWaiting(let places):
            operatorLog.write(.warning, "not joined yet: no controller answers", ["places": text(places)])
        case .controllersChanged(let places):
            operatorLog.write(.notice, "the token names other addresses of the controller", ["places": text(places)])
        case .controllerAbsent(let places):
            operatorLog.write(.warning, "no controller answers", ["places": text(places)])
        case .controllerLost(let node, let loss):
            operatorLog.write(.warning, "controller lost", ["controller": node.short, "reason": loss.rawValue])
        case .controllerFound(let node, nil):
            operatorLog.write(.notice, "connected to the controller", ["controller": node.short])
        case .controllerFound(let node, let after?):
            let metadata = ["controller": node.short, "after": "\(after.milliseconds / 1000) s"]
            operatorLog.write(.notice, "controller found again", metadata)
        case .clockDiffers(let own, let controller):
            operatorLog.write(
                .warning, "this node's clock differs from the controller's",
                ["node": "\(own)", "controller": "\(controller)"])
        case .clockAgrees: operatorLog.write(.notice, "this node's clock agrees with the controller's again")
        case .certificateEnds(let at):
            operatorLog.write(.warning, "the certificate ends soon and is not renewed", ["at": "\(at)"])
        case .describedAs(let description):
            let labels = description.labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
            operatorLog.write(
                .notice, "a certificate with the configured name, site and labels is in force",
                ["name": description.name ?? "", "site": description.site, "labels": labels])
        case .descriptionRefused(let why):
            operatorLog.write(
                .error, "the controller does not accept this node's name, site or labels; the old ones stay",
                ["reason": why])
        }
        showStatus()
    }

    private func text(_ places: [String]) -> String {
        places.map { place in
            guard let name = HostPort(place), let problem = hostNames.problem(of: name) else { return place }
            return "\(place) (\(problem))"
        }.joined(separator: ", ")
    }

    /// What `systemctl status` shows.
    func showStatus() {
        let summary = agent.summary
        guard summary != shownStatus else { return }
        shownStatus = summary
        signals.status(summary)
    }
}
