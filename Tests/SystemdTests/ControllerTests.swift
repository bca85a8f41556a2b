import Control
import Foundation
import Testing
import Wire

extension SystemdTests {
    /// What stops a controller from starting is in its journal, and its exit status has a meaning.
    @Suite struct ControllerStart {
        private static let state = "/var/lib/asterism-controller"

        /// Starts the unit and waits until it has ended with this status and these words.
        private static func expectEnd(
            _ machine: Machine, _ status: Int, _ words: [String], _ what: String
        ) throws {
            let since = try machine.shell("date '+%Y-%m-%d %H:%M:%S.%N' | cut -c1-23")
            _ = try machine.run(["systemctl", "start", "asterism-controller"])
            // systemd starts it again after a second, and its properties are of the newest process.
            var (journal, ended) = ("", "")
            try eventually("\(what): \(words), status \(status)", within: 20, "\(ended): \(journal)") {
                journal = try machine.journal(SystemdTests.controller, since: since)
                ended = try machine.shell(
                    "systemctl show -p ExecMainCode -p ExecMainStatus asterism-controller | tr '\\n' ' '")
                // CLD_EXITED is 1: it has ended by itself, not by a signal.
                return words.allSatisfy(journal.contains) && ended == "ExecMainCode=1 ExecMainStatus=\(status)"
            }
            // One line for each problem, without a usage block.
            #expect(!journal.contains("Usage:") && !journal.contains("USAGE:"), "\(what): \(journal)")
            _ = try machine.run(["systemctl", "stop", "asterism-controller"])
            _ = try machine.run(["systemctl", "reset-failed", "asterism-controller"])
        }

        private static func expectStart(_ machine: Machine, _ what: String) throws {
            try machine.shell("systemctl start asterism-controller")
            #expect(try machine.show("ActiveState", of: SystemdTests.controller) == "active", "\(what)")
            _ = try machine.status()
            try machine.shell("systemctl stop asterism-controller")
        }

        @Test func `a controller that cannot start names the reason, and ends with the status that fits`() throws {
            try Lab.with(["first"]) { lab in
                let first = lab["first"]
                try first.install(["asterism-controller", "asterism-agent"])
                try first.shell("systemctl stop asterism-controller")
                // What is allocated at once, by users of the machine that are not the controller's.
                try Self.portTaken(first)
                try Self.configuration(first)
                try Self.database(first)
                try Self.permissions(first)
                try Self.full(first)
                try Self.expectStart(first, "after all repairs")
                try first.expectNoFailedUnit()
            }
        }

        private static func portTaken(_ first: Machine) throws {
            try first.shell("systemd-run --collect --unit taker socat -u UDP4-RECV:7950 OPEN:/dev/null")
            try eventually("the port is taken") { try first.shell("ss -Hlun sport = :7950") != "" }
            try expectEnd(first, 5, ["7950", "in use"], "UDP port taken")
            try first.shell("systemctl stop taker")
            try expectStart(first, "port free again")
            // And the port of HTTP, where that is asked for.
            try first.write("http: 127.0.0.1:7951\nhttp-insecure: true\n", to: "/etc/asterism/controller.yaml")
            try first.shell(
                "systemd-run --collect --unit taker socat -u TCP4-LISTEN:7951,bind=127.0.0.1 OPEN:/dev/null")
            try eventually("the port is taken") { try first.shell("ss -Hltn sport = :7951") != "" }
            try expectEnd(first, 5, ["7951", "in use"], "HTTP port taken")
            try first.shell("systemctl stop taker; : >/etc/asterism/controller.yaml")
        }

        private static func configuration(_ first: Machine) throws {
            try first.write("# comment\nlog_level: debug\n", to: "/etc/asterism/controller.yaml")
            try expectEnd(
                first, 2, ["/etc/asterism/controller.yaml:2", "log_level", "did you mean 'log-level'"], "a typo")
            // A wrong configuration does not start again and again.
            _ = try first.run(["systemctl", "start", "asterism-controller"])
            sleep(4)
            #expect(try first.show("NRestarts", of: SystemdTests.controller) == "0")
            #expect(try first.show("ActiveState", of: SystemdTests.controller) == "failed")
            let checked = try first.run(["asterism-controller", "--check-config"])
            #expect(checked.status == 2 && checked.errors.contains("log_level"), "\(checked.text)")
            try first.shell(": >/etc/asterism/controller.yaml; systemctl reset-failed")
        }

        private static func database(_ first: Machine) throws {
            let database = "\(state)/controller.sqlite"
            try first.shell("mkdir /root/kept; cp -a \(state)/. /root/kept/")
            func restore() throws {
                try first.shell("find \(state) -mindepth 1 -delete; cp -a /root/kept/. \(state)/")
            }
            try first.shell(
                "rm -f \(database)-*; dd if=/dev/urandom of=\(database) bs=4096 count=8 conv=notrunc status=none")
            try expectEnd(first, 1, ["controller.sqlite"], "a damaged database")
            try restore()
            try first.shell("rm -f \(database)-*; : >\(database)")
            try expectEnd(first, 1, ["controller.sqlite", "--new-fleet"], "an empty database")
            try restore()
            try expectStart(first, "restored")
        }

        private static func permissions(_ first: Machine) throws {
            try first.shell("chown root:root \(state)/controller.sqlite; chmod 0600 \(state)/controller.sqlite")
            try expectEnd(first, 1, ["controller.sqlite", "ermission denied"], "the database of another user")
            try first.shell("chown asterism:asterism \(state)/controller.sqlite")
            try expectStart(first, "permissions repaired")
        }

        private static func full(_ first: Machine) throws {
            try first.shell("mv \(state) \(state).kept; mkdir \(state)")
            try first.shell("mount -t tmpfs -o size=64k,mode=0700,uid=$(id -u asterism) tmpfs \(state)")
            try first.shell("dd if=/dev/zero of=\(state)/ballast bs=4k count=64 status=none || true")
            try first.shell("chown asterism:asterism \(state)/ballast")
            try expectEnd(first, 5, [state, "full"], "a full state directory")
            // What that start has left is no obstacle once there is space.
            try first.shell("rm \(state)/ballast; mount -o remount,size=16m \(state)")
            try expectStart(first, "a first start with space again")
            try first.shell("umount \(state); rmdir \(state); mv \(state).kept \(state)")
        }
    }

    /// A controller whose address changes.
    @Suite struct Renumbered {
        /// The controller gets another address while it is down, so that no session leads nodes to it.
        private static func renumber(_ first: Machine) throws {
            try first.shell("systemctl stop asterism-controller")
            try first.shell("ip addr del 10.99.0.1/24 dev eth0; ip addr add 10.99.0.9/24 dev eth0")
        }

        @Test func `a name in the token leads nodes to a controller that has moved`() throws {
            try Lab.with(["first", "second", "third"]) { lab in
                let first = lab["first"]
                for machine in lab.machines { try machine.shell("echo 10.99.0.1 controller.lab >>/etc/hosts") }
                try first.install(["asterism-controller", "asterism-agent"])
                try first.shell("echo 'advertise: controller.lab:7950' >/etc/asterism/controller.yaml")
                try first.shell("systemctl restart asterism-controller")
                let token = try first.token("--uses 3")
                for machine in lab.machines {
                    if machine !== first { try machine.install(["asterism-agent"]) }
                    try machine.enrol(token)
                }
                try first.waitUntilOnline(lab.machines.map(\.name))
                let pid = try first.runWorker("held", "--node third -- sleep 1000")
                try Self.renumber(first)
                for machine in lab.machines {
                    try machine.shell("sed -i 's/^10.99.0.1 /10.99.0.9 /' /etc/hosts")
                }
                try first.shell("systemctl start asterism-controller")
                let seconds = try first.waitUntilOnline(lab.machines.map(\.name), within: 30)
                print("systemd: all nodes are back \(Int(seconds)) s after the controller has moved")
                #expect(try first.worker("held").pid == pid)
                for machine in [lab["second"], lab["third"]] {
                    let journal = try machine.journal(SystemdTests.agent)
                    #expect(journal.contains("controller lost"), "\(journal)")
                    #expect(journal.contains("controller found again"), "\(journal)")
                }
            }
        }

        @Test func `a newer token of the same fleet repairs literal addresses, and identity and workers stay`() throws {
            try Lab.with(["first", "second"]) { lab in
                let (first, second) = (lab["first"], lab["second"])
                try lab.makeFleet()
                let pid = try first.runWorker("held", "--node second --user nobody -- sleep 1000")
                let before = Set(try first.nodes().map(\.id))
                try Self.renumber(first)
                try first.shell("systemctl start asterism-controller")
                sleep(5)
                #expect(try first.state(of: "second") != .online)
                for machine in lab.machines { try machine.enrol(try first.token()) }
                try first.waitUntilOnline(["first", "second"])
                #expect(Set(try first.nodes().map(\.id)) == before)
                try eventually("the worker is known") { try first.worker("held").pid == pid }
                #expect(try second.isAlive(pid))
                // It outlives a restart of the agent.
                try second.shell("systemctl restart asterismd")
                try first.shell("systemctl restart asterism-controller")
                try first.waitUntilOnline(["first", "second"])
            }
        }
    }
}
