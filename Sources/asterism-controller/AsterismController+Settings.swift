import Base
import Configuration
import ControllerService
import Daemon
import Glibc

// What the options mean.

extension AsterismController {
    func settings(
        _ given: EffectiveConfiguration, _ problems: inout StartProblems
    ) -> ControllerDaemon.Settings? {
        let listen = problems.attempt { () throws(StartError) in try address(self.listen, "--listen") }
        let name = problems.attempt { () throws(StartError) in try controllerName() }
        var settings = ControllerDaemon.Settings(
            dataDirectory: data, listen: listen ?? SocketAddress(.any4, 0), socketPath: socket, name: name ?? "")
        settings.isNewFleet = newFleet
        if tcpListen == ["off"] {
            settings.tcpListen = []
        } else if !tcpListen.isEmpty {
            settings.tcpListen = problems.each("--tcp-listen", tcpListen) { text throws(StartError) in
                try address(text, "--tcp-listen")
            }
            if tcpListen.count > ControllerDaemon.Settings.tcpListenLimit {
                problems.add(
                    StartError("--tcp-listen", "at most \(ControllerDaemon.Settings.tcpListenLimit) addresses"))
            }
        }
        let places = problems.each("--advertise", advertise) { text throws(StartError) in try place(text) }
        for place in places {
            switch place {
            case .address(let address): settings.advertised.append(address)
            case .name(let name): settings.advertisedNames.append(name)
            }
        }
        let limits = (ControllerDaemon.Settings.advertisedLimit, ControllerDaemon.Settings.advertisedNamesLimit)
        if settings.advertised.count > limits.0 || settings.advertisedNames.count > limits.1 {
            problems.add(StartError("--advertise", "at most \(limits.0) addresses and \(limits.1) names"))
        }
        settings.overlayNetwork = overlayNetwork.flatMap { text in
            problems.attempt { () throws(StartError) in try network(text) }
        }
        if !["on", "off"].contains(relay) { problems.add(StartError("--relay", "'\(relay)' is neither on nor off")) }
        settings.isRelay = relay == "on"
        settings.http =
            problems.attempt { () throws(StartError) in try HTTPEndpoint.parse(http, isInsecure: httpInsecure) } ?? nil
        settings.clockOffset = .seconds(Int64(debugClockOffsetSeconds ?? 0))
        return problems.all.isEmpty ? settings : nil
    }

    private func network(_ text: String) throws(StartError) -> IPPrefix {
        guard let network = IPPrefix(text) else {
            let why = "'\(text)' is no network, such as 10.9.0.0/16, without bits beyond its length"
            throw StartError("--overlay-network", why)
        }
        try ControllerDaemon.checkOverlayNetwork(network)
        return network
    }

    private enum Place {
        case address(SocketAddress)
        case name(HostPort)
    }

    private func place(_ text: String) throws(StartError) -> Place {
        if let name = HostPort(text) { return .name(name) }
        guard let address = SocketAddress(text) else {
            throw StartError("--advertise", "'\(text)' is not IP:PORT, [IPv6]:PORT or NAME:PORT")
        }
        guard !address.ip.isUnspecified, address.port != 0 else {
            throw StartError("--advertise", "'\(text)' is no address that others could reach")
        }
        return .address(address)
    }

    private func address(_ text: String, _ option: String) throws(StartError) -> SocketAddress {
        guard let address = SocketAddress(text) else {
            throw StartError(option, "'\(text)' is not IP:PORT or [IPv6]:PORT")
        }
        return address
    }

    private func controllerName() throws(StartError) -> String {
        let rule =
            "not a name: letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 63 characters"
        if let name {
            guard ControllerDaemon.Settings.isName(name) else { throw StartError("--name", "'\(name)' is \(rule)") }
            return name
        }
        let host = hostName()
        guard ControllerDaemon.Settings.isName(host) else {
            throw StartError("--name", "the host's name, '\(host)', is \(rule); give the controller another one")
        }
        return host
    }
}

private func hostName() -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    _ = buffer.withUnsafeMutableBytes { gethostname($0.baseAddress!, $0.count - 1) }
    return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
}
