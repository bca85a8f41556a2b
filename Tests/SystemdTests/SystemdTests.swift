import Control
import Foundation
import Testing
import Wire

/// # The packages, on machines that boot systemd
///
/// Everything here is done as an operator does it: packages are installed with apt, units are the shipped ones without
/// drop-ins, and what is expected is read from systemctl, journalctl and `asterism`. Tests run one after the other; each
/// has machines of its own.
@Suite(.serialized, .enabled(if: Lab.isPossible, "needs packages, root, namespaces, debootstrap and systemd-nspawn"))
struct SystemdTests {
    static let agent = "asterismd.service"
    static let controller = "asterism-controller.service"
    static let workers = "asterism-workers.service"
}

extension SystemdTests {
    /// Two commands on each machine, as README counts them.
    @Suite struct FirstStart {
        @Test func `two commands on each machine make a fleet that survives a reboot`() throws {
            try Lab.with(["first", "second", "third"], v1: ["third"]) { lab in
                let (first, second, third) = (lab["first"], lab["second"], lab["third"])
                try first.install(["asterism-controller", "asterism-agent"])
                let token = try first.token("--uses 3")
                try first.enrol(token)
                for machine in [second, third] {
                    try machine.install(["asterism-agent"])
                    try machine.enrol(token)
                }
                try first.waitUntilOnline(["first", "second", "third"])

                // What systemd has of it.
                for machine in lab.machines {
                    let verified = try machine.run(
                        ["sh", "-c", "systemd-analyze verify /usr/lib/systemd/system/asterism*.service"])
                    #expect(verified.status == 0 && verified.output + verified.errors == "", "\(verified.text)")
                    #expect(try machine.shell("systemctl is-enabled asterismd asterism-workers") == "enabled\nenabled")
                    #expect(try machine.waitUntilBooted() == "running")
                }

                try workersRunAsTheirUsers(first, second, third)
                try machinesReboot(lab)
            }
        }

        private func workersRunAsTheirUsers(_ first: Machine, _ second: Machine, _ third: Machine) throws {
            for machine in [second, third] {
                try machine.shell("useradd --create-home trainer")
                let name = machine.name
                for user in ["nobody", "trainer", "root"] {
                    let pid = try first.runWorker(
                        "\(user)-\(name)", "--node \(name) --user \(user) --restart always -- sleep 1000")
                    #expect(try machine.user(of: pid) == user)
                    #expect(try machine.shell("tr '\\0' ' ' </proc/\(pid)/cmdline").hasPrefix("sleep 1000"))
                    // What the agent reports is where the process is.
                    let containment = try first.worker("\(user)-\(name)").containment
                    let cgroup = try machine.cgroup(of: pid)
                    #expect(containment == .cgroup && cgroup.contains(SystemdTests.workers), "\(cgroup)")
                }
                // It can write where it starts.
                try first.runWorker(
                    "writes-\(name)", "--node \(name) --user nobody -- sh -c 'echo a >file && cat file && sleep 1000'")
                try eventually("the worker writes a file") {
                    try first.shell("asterism worker logs writes-\(name)") == "a"
                }
            }
        }

        private func machinesReboot(_ lab: Lab) throws {
            let first = lab["first"]
            for machine in lab.machines.reversed() {
                let before = try first.workers().filter { $0.nodeName == machine.name }
                let began = monotonicSeconds()
                let state = try machine.reboot()
                let failed = try machine.shell("systemctl --failed --no-legend --plain")
                #expect(state == "running", "\(machine.name): \(failed)")
                try first.waitUntilOnline(lab.machines.map(\.name))
                print("systemd: \(machine.name) rebooted, online after \(Int(monotonicSeconds() - began)) s")
                // The restart policy decides after a reboot as after any other end.
                for worker in before where worker.name.hasSuffix(machine.name) {
                    let isRestarted = !worker.name.hasPrefix("writes")
                    try eventually("\(worker.name) after the reboot", within: 30) {
                        let now = try first.worker(worker.name)
                        return isRestarted
                            ? now.state == .running && now.restarts > worker.restarts : now.state?.isFinal == true
                    }
                }
                try machine.expectNoFailedUnit()
            }
        }
    }

    /// A token that cannot be used, and an agent that has none.
    @Suite struct Tokens {
        @Test func `an agent that belongs to no fleet waits quietly`() throws {
            try Lab.with(["first"]) { lab in
                let first = lab["first"]
                try first.install(["asterism-agent"])
                sleep(30)
                let lines = try first.journal(SystemdTests.agent).split(separator: "\n")
                #expect(lines.count <= 12, "\(lines.joined(separator: "\n"))")
                let later = try first.journal(SystemdTests.agent, since: "20 seconds ago")
                #expect(later.split(separator: "\n").count <= 2, "\(later)")
                #expect(try first.show("NRestarts", of: SystemdTests.agent) == "0")
                #expect(try first.status().phase == .unenrolled)
                #expect(try first.shell("systemctl is-active asterismd") == "active")
                let kibibytes = try first.shell(
                    "sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/\(try first.mainPID(of: SystemdTests.agent))/status"
                )
                print("systemd: an idle agent holds \(kibibytes) KiB")
                #expect(Int(kibibytes) ?? .max <= 20 * 1024)
            }
        }

        @Test func `a token file that cannot be used is reported in the journal and in status, with the reason`() throws
        {
            try Lab.with(["first", "second"]) { lab in
                let (first, second) = (lab["first"], lab["second"])
                try first.install(["asterism-controller", "asterism-agent"])
                try second.install(["asterism-agent"])
                let expired = try first.token("--ttl 1s")
                let used = try first.token()
                try first.enrol(used)
                sleep(2)
                try second.shell("echo 'join-token-file: /etc/asterism/token' >/etc/asterism/agent.yaml")
                for (token, reason) in [("foo", "ast1-"), (expired, "expired"), (used, "as often as it may be")] {
                    try second.write(token + "\n", to: "/etc/asterism/token")
                    let since = try second.shell("date '+%Y-%m-%d %H:%M:%S.%N' | cut -c1-23")
                    try second.shell("systemctl restart asterismd")
                    try eventually("the reason '\(reason)' is in the journal and in status", within: 20) {
                        let journal = try second.journal(SystemdTests.agent, since: since)
                        let status = try second.run(["asterism", "status"])
                        return journal.contains(reason) && status.output.contains(reason)
                    }
                    #expect(try second.status().phase != .member)
                }
                // One that can be used ends the wait. A token file may have CRLF, a BOM and spaces around.
                let good = try first.token()
                try second.write("\u{feff} \(good) \r\n", to: "/etc/asterism/token")
                try second.shell("systemctl restart asterismd")
                try first.waitUntilOnline(["second"])
            }
        }
    }
}
