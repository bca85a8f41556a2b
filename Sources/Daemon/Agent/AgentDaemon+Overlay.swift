import Base
import Control
import EventLoop
import Logging

extension AgentDaemon {
    /// The overlay's interface; `nil` where there is to be none, or, with `auto`, where there can be none.
    static func overlay(_ settings: Settings, on loop: Loop, log: Logger) throws(StartError) -> OverlayPort? {
        guard settings.overlay != .off else { return nil }
        do throws(Errno) {
            let overlay = try OverlayPort(on: loop, settings.overlayPort)
            log.info(
                "overlay",
                metadata: [
                    "interface": "\(overlay.interface)", "offload": "\(overlay.offload)",
                    "threads": "\(settings.overlayPort.threads)",
                ])
            return overlay
        } catch {
            let why = "no network interface for the overlay: \(error.message)"
            guard settings.overlay == .auto else {
                throw StartError("--overlay", why, ExitStatus(error) == .refused ? .refused : .unavailable)
            }
            log.notice("\(why); all else works", metadata: ["needs": "/dev/net/tun and CAP_NET_ADMIN"])
            return nil
        }
    }
}
