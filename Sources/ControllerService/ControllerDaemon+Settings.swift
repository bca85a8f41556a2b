package import Base
import Control
import Daemon
import Wire

extension ControllerDaemon {
    package struct Settings: Sendable {
        package var dataDirectory: String
        package var listen: SocketAddress
        /// Where datagrams are accepted over TCP; `nil`: at the address of `listen`, if it is free.
        package var tcpListen: [SocketAddress]?
        package static let tcpListenLimit = Limits.tcpPorts
        /// Where agents reach this controller; goes into tokens. Empty: where it listens.
        package var advertised: [SocketAddress] = []
        /// `nil`: no HTTP.
        package var http: HTTPEndpoint?
        package var socketPath: String
        package var name: String
        /// The network of the overlay's addresses; `nil`: the one in use, or the default.
        package var overlayNetwork: IPPrefix?
        /// Whether it carries datagrams for nodes, as beacons do.
        package var isRelay = true
        /// Host names that agents resolve to reach this controller; they go into tokens.
        package var advertisedNames: [HostPort] = []
        /// What is added to the machine's wall clock; for tests.
        package var clockOffset = Interval.zero
        /// Begin a new fleet where the database is empty or lost.
        package var isNewFleet = false

        package static let overlayNetworkDefault = OverlayPool.defaultNetwork
        /// As many as a token holds.
        package static let advertisedLimit = Limits.addressesPerPeer
        package static let advertisedNamesLimit = Limits.namesPerController

        /// Whether agents could know the controller by this name.
        package static func isName(_ name: String) -> Bool { WorkerSpec.isName(name) }

        package init(dataDirectory: String, listen: SocketAddress, socketPath: String, name: String) {
            self.dataDirectory = dataDirectory
            self.listen = listen
            self.socketPath = socketPath
            self.name = name
        }
    }
}
