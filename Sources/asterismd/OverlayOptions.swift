import ArgumentParser
import Control
import Daemon
import Mesh

/// The options of the overlay's interface and of what peers may reach through it.
struct OverlayOptions: ParsableArguments {
    @Option(
        help: """
            Whether this node gets a network interface of the overlay: auto (where it can be had), off, or required.
            """)
    var overlay = "auto"
    @Option(help: "The interface's name; %d in it becomes the first free number.")
    var overlayInterface = "asterism%d"
    @Option(help: "Whether the kernel may leave segments and checksums to the overlay: auto or off.")
    var overlayOffload = "auto"
    @Option(
        help: ArgumentHelp(
            "Threads that carry packets of the overlay: 1 (the agent's own), 2 (one for each way), or an even number "
                + "up to 16 (pairs with a queue of the interface and a socket each)."))
    var dataPlaneThreads = 1
    @Option(
        help: ArgumentHelp(
            "What peers of other applications may reach, as 'PROTOCOL[:PORTS] [from LABEL=VALUE,...]', such as "
                + "'tcp:80,8000-8099 from app=web'; may be given more than once. Without it, nothing."))
    var allow: [String] = []
    @Option(
        help: ArgumentHelp(
            "Which peers may open a server here to measure the way with 'asterism bench': auto (those that may reach "
                + "everything here), allow (all of the fleet), or off."))
    var bench = "auto"

    func apply(to settings: inout AgentDaemon.Settings, _ problems: inout StartProblems) {
        if let mode = AgentDaemon.OverlayMode(rawValue: overlay) {
            settings.overlay = mode
        } else {
            problems.add(StartError("--overlay", "'\(overlay)' is none of auto, off, required"))
        }
        if !(1...15).contains(overlayInterface.utf8.count) || overlayInterface.contains("/") {
            problems.add(
                StartError("--overlay-interface", "'\(overlayInterface)' is not a name of at most 15 bytes"))
        }
        settings.overlayPort.interface = overlayInterface
        if !["auto", "off"].contains(overlayOffload) {
            problems.add(StartError("--overlay-offload", "'\(overlayOffload)' is neither auto nor off"))
        }
        settings.overlayPort.usesOffload = overlayOffload == "auto"
        let most = OverlayPort.Settings.mostThreads
        if dataPlaneThreads != 1, !(2...most).contains(dataPlaneThreads) || dataPlaneThreads % 2 != 0 {
            problems.add(
                StartError(
                    "--data-plane-threads", "\(dataPlaneThreads) is neither 1 nor an even number up to \(most)"))
        }
        settings.overlayPort.threads = dataPlaneThreads
        settings.policy = problems.each("--allow", allow) { text throws(StartError) in
            do throws(PolicyRuleError) { return try PolicyRule(parsing: text) } catch {
                throw StartError("--allow", "'\(text)': \(error)")
            }
        }
        if let permission = BenchPermission(rawValue: bench) {
            settings.bench = permission
        } else {
            problems.add(StartError("--bench", "'\(bench)' is none of auto, allow, off"))
        }
    }
}
