import Control
import Foundation
import Testing
import Wire

extension SystemdTests {
    /// What systemd does with the agent's unit, and the effect on workers.
    @Suite struct Life {
        @Test func `workers survive everything that ends the agent, and end with their own unit`() throws {
            try Lab.with(["first", "second"]) { lab in
                let (first, second) = (lab["first"], lab["second"])
                try lab.makeFleet()
                let held = try [
                    first.runWorker("held-1", "--node second --user nobody --restart always -- sleep 1000"),
                    first.runWorker("held-2", "--node second -- sleep 1000"),
                ]
                let workersUnit = try second.mainPID(of: SystemdTests.workers)

                func survives(_ what: String, _ end: () throws -> Void) throws {
                    let before = try second.mainPID(of: SystemdTests.agent)
                    try end()
                    try eventually("\(what): another agent runs", within: 75) {
                        let now = try second.mainPID(of: SystemdTests.agent)
                        let state = try second.show("ActiveState", of: SystemdTests.agent)
                        return now != 0 && now != before && state == "active"
                    }
                    try first.waitUntilOnline(["second"])
                    try eventually("\(what): workers are known again") {
                        try ["held-1", "held-2"].map { try first.worker($0).pid } == held
                    }
                    for name in ["held-1", "held-2"] { #expect(try first.worker(name).restarts == 0, "\(what)") }
                    for pid in held { #expect(try second.isAlive(pid), "\(what)") }
                    #expect(try second.mainPID(of: SystemdTests.workers) == workersUnit, "\(what)")
                }

                try survives("restart") { try second.shell("systemctl restart asterismd") }
                try survives("kill -9") { try second.shell("systemctl kill -s KILL --kill-who=main asterismd") }
                try survives("watchdog") {
                    // WatchdogSec=30, and then the stop timeout for the core dump.
                    try second.shell("systemctl kill -s STOP --kill-who=main asterismd")
                }
                #expect(try second.show("Result", of: SystemdTests.agent) == "success")
                #expect(try second.journal(SystemdTests.agent).contains("Watchdog timeout"))

                // A stopped agent leaves; its workers stay.
                try second.shell("systemctl stop asterismd")
                #expect(try second.show("ActiveState", of: SystemdTests.agent) == "inactive")
                try eventually("the node has left", within: 5) {
                    [.left, .offline].contains(try first.state(of: "second"))
                }
                for pid in held { #expect(try second.isAlive(pid)) }
                try survives("stop and start") { try second.shell("systemctl start asterismd") }

                // Stopping the workers' unit ends them all, and the agent's unit needs it.
                try second.shell("systemctl stop asterism-workers", seconds: 60)
                for pid in held { #expect(try !second.isAlive(pid)) }
                #expect(try second.show("ActiveState", of: SystemdTests.workers) == "inactive")
                try second.shell("systemctl start asterism-workers asterismd")
                try first.waitUntilOnline(["second"])
                try eventually("the worker that always restarts runs again", within: 30) {
                    let worker = try first.worker("held-1")
                    return worker.state == .running && worker.pid != held[0] && worker.containment == .cgroup
                }
                #expect(try first.worker("held-2").state?.isFinal == true)
                try second.expectNoFailedUnit()
                try first.expectNoFailedUnit()
            }
        }

        @Test func `a controller that is killed, stopped by a signal or restarted loses nothing`() throws {
            try Lab.with(["first", "second"]) { lab in
                let (first, second) = (lab["first"], lab["second"])
                try lab.makeFleet()
                let pid = try first.runWorker("held", "--node second --user nobody -- sleep 1000")
                let nodes = Set(try first.nodes().map(\.id))
                for end in ["restart", "kill -s KILL --kill-who=main", "kill -s STOP --kill-who=main"] {
                    let before = try first.mainPID(of: SystemdTests.controller)
                    try first.shell("systemctl \(end) asterism-controller")
                    try eventually("another controller runs after \(end)", within: 75) {
                        let now = try first.mainPID(of: SystemdTests.controller)
                        return now != 0 && now != before
                    }
                    try first.waitUntilOnline(["first", "second"])
                    #expect(Set(try first.nodes().map(\.id)) == nodes)
                    try eventually("the worker is known") { try first.worker("held").pid == pid }
                    #expect(try second.isAlive(pid))
                }
                try first.expectNoFailedUnit()
            }
        }
    }

    /// What dpkg does on a machine that runs.
    @Suite struct Packages {
        @Test func `an upgrade leaves workers alone, removal stops, and purge removes all state`() throws {
            try Lab.with(["first", "second"]) { lab in
                let (first, second) = (lab["first"], lab["second"])
                try lab.makeFleet()
                let pid = try first.runWorker("held", "--node second --user nobody -- sleep 1000")
                let (agent, workers) = try (
                    second.mainPID(of: SystemdTests.agent), second.mainPID(of: SystemdTests.workers)
                )
                let node = try #require(try first.nodes().first { $0.name == "second" }).id
                try second.shell("echo 'label: [kept=yes]' >/etc/asterism/agent.yaml")

                let newer = try Self.repacked(["asterism-agent", "asterism-controller"])
                defer { try? FileManager.default.removeItem(atPath: newer) }
                try second.install(["asterism-agent"], from: newer)
                #expect(try second.shell("dpkg-query -Wf '${Version}' asterism-agent").hasSuffix("+lab1"))
                try eventually("the upgraded agent runs") {
                    let now = try second.mainPID(of: SystemdTests.agent)
                    return now != 0 && now != agent
                }
                try first.waitUntilOnline(["second"])
                #expect(try second.isAlive(pid) && second.mainPID(of: SystemdTests.workers) == workers)
                try eventually("the worker is known") { try first.worker("held").pid == pid }
                #expect(try first.worker("held").restarts == 0)
                #expect(try first.nodes().first { $0.name == "second" }?.id == node)
                #expect(try second.shell("cat /etc/asterism/agent.yaml") == "label: [kept=yes]")

                let before = try first.mainPID(of: SystemdTests.controller)
                try first.install(["asterism-controller", "asterism-agent"], from: newer)
                try eventually("the upgraded controller runs") {
                    let now = try first.mainPID(of: SystemdTests.controller)
                    return now != 0 && now != before
                }
                try first.waitUntilOnline(["first", "second"])
                for machine in lab.machines { try machine.expectNoFailedUnit() }

                try Self.remove(second, pid)
                try Self.remove(controllerOf: first)
            }
        }

        private static func remove(_ second: Machine, _ pid: Int32) throws {
            try second.shell("apt-get remove -y -qq asterism-agent", seconds: 90)
            #expect(try !second.isAlive(pid))
            #expect(try second.run(["pgrep", "-x", "asterismd|asterism-shim"]).status == 1)
            #expect(try second.run(["sh", "-c", "command -v asterismd asterism asterism-shim"]).output == "")
            #expect(try second.run(["systemctl", "is-active", "asterismd", "asterism-workers"]).status != 0)
            // Configuration and identity stay until a purge.
            try second.shell("test -d /var/lib/asterism && test -f /etc/asterism/agent.yaml")
            try second.shell("apt-get purge -y -qq asterism-agent", seconds: 90)
            try second.shell("! ls -d /var/lib/asterism /etc/asterism /run/asterism 2>/dev/null")
            #expect(
                try second.shell("dpkg-query -Wf '${Status}' asterism-agent 2>&1 || true").contains("no packages found")
            )
            #expect(try second.shell("systemctl list-unit-files --no-legend 'asterism*' || true") == "")
            #expect(try second.shell("systemctl --failed --no-legend --plain") == "")
        }

        private static func remove(controllerOf first: Machine) throws {
            try first.shell("apt-get purge -y -qq asterism-controller asterism-agent", seconds: 90)
            #expect(try first.run(["pgrep", "-f", "^/usr/bin/asterism"]).status == 1)
            try first.shell(
                "! ls -d /var/lib/asterism /var/lib/asterism-controller /var/lib/private/asterism* /etc/asterism"
                    + " /run/asterism* 2>/dev/null")
            #expect(try first.shell("systemctl --failed --no-legend --plain") == "")
        }

        /// A folder with the same packages of a higher version; dependencies on each other follow.
        private static func repacked(_ names: [String]) throws -> String {
            let folder = try temporaryFolder("repacked")
            let packages = try #require(Lab.packages)
            for name in names {
                let script = """
                    set -e
                    dpkg-deb -R "\(packages)/\(name).deb" "\(folder)/\(name)"
                    version=$(sed -n 's/^Version: //p' "\(folder)/\(name)/DEBIAN/control")
                    sed -i "s/^Version: .*/&+lab1/; s/(= $version)/(= $version+lab1)/" "\(folder)/\(name)/DEBIAN/control"
                    dpkg-deb --root-owner-group -Znone -b "\(folder)/\(name)" "\(folder)/\(name).deb"
                    """
                let outcome = try Child.run(["/bin/sh", "-c", script], seconds: 60)
                guard outcome.status == 0 else { throw Fault("dpkg-deb: \(outcome.text)") }
            }
            return folder
        }
    }
}
