import Control
import Foundation
import Testing
import Wire

extension SystemdTests {
    /// Clocks that are wrong. A container has the clock of its host, so the daemons are given an offset.
    @Suite struct Clocks {
        private static let controllerSocket = "/run/asterism-controller/controller.sock"

        /// Restarts a daemon with this offset, and waits until both journals and both programs' status name the difference.
        private static func expectNamed(
            _ lab: Lab, _ machine: Machine, _ unit: String, offset: Int64, nodeOffset: Int64
        ) throws {
            let (first, second) = (lab["first"], lab["second"])
            let file = unit == SystemdTests.controller ? "controller" : "agent"
            try machine.write("debug-clock-offset-seconds: \(offset)\n", to: "/etc/asterism/\(file).yaml")
            let since = try first.shell("date '+%Y-%m-%d %H:%M:%S.%N' | cut -c1-23")
            try machine.shell("systemctl restart \(unit)")
            try first.waitUntilOnline(["second"])
            var (journals, view) = ("", "")
            let seconds = try eventually("a clock \(offset) s off is named", within: 10, "\(journals) \(view)") {
                let agent = try second.journal(SystemdTests.agent, since: since)
                let controller = try first.journal(SystemdTests.controller, since: since)
                journals = agent + controller
                let own = try second.status()
                let fleet: StatusView = try first.run(
                    ["asterism", "status", "--json", "--socket", controllerSocket]
                ).view()
                view = "\(String(describing: own.clock)) \(String(describing: fleet.nodeClocks))"
                let shown = fleet.nodeClocks?.first { $0.name == "second" }?.offsetMilliseconds ?? 0
                return agent.contains("clock differs") && controller.contains("clock differs")
                    && own.clock?.differs == true && abs(shown - nodeOffset * 1000) < 10_000
            }
            print("systemd: a clock \(offset) s off is named after \(Int(seconds)) s")
            // People read both times.
            #expect(try second.shell("asterism status").contains("clock"))
            try machine.shell(": >/etc/asterism/\(file).yaml; systemctl restart \(unit)")
            try first.waitUntilOnline(["first", "second"])
            try eventually("the clocks agree again", within: 10) { try second.status().clock?.differs == false }
        }

        @Test func `a clock that is wrong is named in both journals and in status`() throws {
            try Lab.with(["first", "second"]) { lab in
                try lab.makeFleet()
                let pid = try lab["first"].runWorker("held", "--node second -- sleep 1000")
                try Self.expectNamed(lab, lab["second"], SystemdTests.agent, offset: 3600, nodeOffset: 3600)
                try Self.expectNamed(
                    lab, lab["first"], SystemdTests.controller, offset: -86_400, nodeOffset: 86_400)
                #expect(try lab["second"].isAlive(pid))
                for machine in lab.machines { try machine.expectNoFailedUnit() }
            }
        }
    }
}
