import Base
import Control
import EventLoop
import Logging

extension OverlayPort {
    /// The overlay's interface; `nil` where it is off, or, with `auto`, where it is not possible.
    static func open(
        _ mode: AgentDaemon.OverlayMode, _ settings: Settings, on loop: Loop, log: Logger
    ) throws(StartError) -> OverlayPort? {
        guard mode != .off else { return nil }
        do throws(Errno) {
            let overlay = try OverlayPort(on: loop, settings)
            log.info(
                "overlay",
                metadata: [
                    "interface": "\(overlay.interface)", "offload": "\(overlay.offload)",
                    "threads": "\(settings.threads)",
                ])
            return overlay
        } catch {
            let why = "no network interface for the overlay: \(error.message)"
            guard mode == .auto else {
                throw StartError("--overlay", why, ExitStatus(error) == .refused ? .refused : .unavailable)
            }
            log.notice("\(why); everything else works", metadata: ["needs": "/dev/net/tun and CAP_NET_ADMIN"])
            return nil
        }
    }

    /// Gives the interface this node's current addresses, without IPv4 where another interface has its network.
    func configure(_ place: OverlayPlace, log: Logger) {
        var place = place
        // The route to the fleet itself may lead through a network of the same addresses.
        if let network = place.network4, let own = LocalAddresses.first(in: network, without: interface) {
            log.warning(
                "overlay without IPv4: its network is in use here; see asterism-controller --overlay-network",
                metadata: ["network": "\(network)", "address": "\(own)"])
            (place.v4, place.network4) = (nil, nil)
        }
        configure(place)
        if let problem { log.warning("overlay", metadata: ["reason": "\(problem)"]) }
    }
}
