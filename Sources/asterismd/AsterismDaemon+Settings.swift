import Base
import Configuration
import Control
import Daemon
import Glibc
import Health
import Mesh
import Noise
import Wire

// What the options mean.

extension AsterismDaemon {
    func settings(
        _ given: EffectiveConfiguration, _ problems: inout StartProblems
    ) -> AgentDaemon.Settings? {
        let place = problems.attempt { () throws(StartError) in try address(listen, "--listen") }
        let name = problems.attempt { () throws(StartError) in try nodeName() }
        let shim = problems.attempt { () throws(StartError) in try shimPath() }
        var settings = AgentDaemon.Settings(
            stateDirectory: absolute(data), listen: place ?? SocketAddress(.any4, 0), socketPath: socket,
            name: name ?? "", shim: shim ?? "", tool: tool.map(absolute) ?? "\(Files.parent(of: executable()))/asterism"
        )
        settings.isNameChosen = self.name != nil
        settings.isListenFixed = given.isGiven("listen")
        settings.tcpListen = problems.each("--tcp-listen", tcpListen) { text throws(StartError) in
            guard let address = SocketAddress(text), address.port != 0 else {
                throw StartError("--tcp-listen", "'\(text)' is not IP:PORT or [IPv6]:PORT with a port above 0")
            }
            return address
        }
        if tcpListen.count > AgentDaemon.Settings.tcpListenLimit {
            problems.add(StartError("--tcp-listen", "at most \(AgentDaemon.Settings.tcpListenLimit) addresses"))
        }
        if !site.isEmpty, !WorkerSpec.isName(site) { problems.add(StartError("--site", "'\(site)' is \(notAName)")) }
        settings.site = site
        setLabels(&settings, &problems)
        settings.stun = problems.each("--stun", stun) { text throws(StartError) in
            guard let server = STUNServer(text) else {
                throw StartError("--stun", "'\(text)' is not HOST:PORT, IP:PORT or [IPv6]:PORT")
            }
            return server
        }
        overlay.apply(to: &settings, &problems)
        if !["auto", "off"].contains(cryptoAccelerate) {
            problems.add(StartError("--crypto-accelerate", "'\(cryptoAccelerate)' is neither auto nor off"))
        }
        settings.acceleratesCiphers = cryptoAccelerate == "auto"
        settings.rekeyAfter = debugRekeySeconds.map { .seconds(Int64(max(1, $0))) }
        if let mode = PortMappingHost.Mode(rawValue: portMapping) {
            settings.portMapping = mode
        } else {
            problems.add(StartError("--port-mapping", "'\(portMapping)' is neither auto nor off"))
        }
        settings.workersCgroup =
            problems.attempt { () throws(StartError) in try WorkerCgroupChoice(parsing: workersCgroup) } ?? .auto
        settings.clockOffset = .seconds(Int64(debugClockOffsetSeconds ?? 0))
        // After the start, the file may be gone.
        settings.token = problems.attempt { () throws(StartError) in try token() } ?? nil
        settings.accelerators = problems.attempt { () throws(StartError) in try source() } ?? AcceleratorProbe.none
        return problems.all.isEmpty ? settings : nil
    }

    private func address(_ text: String, _ option: String) throws(StartError) -> SocketAddress {
        guard let address = SocketAddress(text) else {
            throw StartError(option, "'\(text)' is not IP:PORT or [IPv6]:PORT")
        }
        return address
    }

    // MARK: - Names

    private var notAName: String {
        "not a name: letters, digits, '-', '_' and '.', beginning with a letter or digit, at most "
            + "\(Limits.nameBytes) characters"
    }

    /// The controller has the same rule, and would refuse the node much later.
    private func nodeName() throws(StartError) -> String {
        if let name {
            guard WorkerSpec.isName(name) else { throw StartError("--name", "'\(name)' is \(notAName)") }
            return name
        }
        let host = hostName()
        guard WorkerSpec.isName(host) else {
            throw StartError("--name", "the host's name, '\(host)', is \(notAName); give the node another one")
        }
        return host
    }

    private func setLabels(_ settings: inout AgentDaemon.Settings, _ problems: inout StartProblems) {
        var known: [String] = []
        settings.labels = problems.each("--label", label) { text throws(StartError) in
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw StartError("--label", "'\(text)' is not NAME=VALUE")
            }
            let name = String(text[..<equals]), value = String(text[text.index(after: equals)...])
            let limit = Limits.labelBytes
            guard name.utf8.count <= limit, value.utf8.count <= limit else {
                throw StartError("--label", "'\(text)': a name and a value have at most \(limit) bytes each")
            }
            guard !known.contains(name) else { throw StartError("--label", "'\(name)' is given twice") }
            known.append(name)
            return (name, value)
        }
        let bytes = settings.labels.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 2 }
        if bytes > Limits.labelsBytes {
            problems.add(
                StartError(
                    "--label",
                    "all labels together have \(bytes) bytes, with 2 for each, and a certificate has room for "
                        + "\(Limits.labelsBytes)"))
        }
        if label.count > Limits.labels {
            problems.add(StartError("--label", "\(label.count) labels, and a node has at most \(Limits.labels)"))
        }
    }

    // MARK: - Files

    private func token() throws(StartError) -> AgentDaemon.Settings.Token? {
        guard let joinTokenFile else { return joinToken.map { .text($0) } }
        guard joinToken == nil else { throw StartError("--join-token", "not together with --join-token-file") }
        return .file(absolute(joinTokenFile))
    }

    private func source() throws(StartError) -> AcceleratorProbe {
        let nvidia = AcceleratorProbe.nvidia()
        switch accelerators {
        case "none": return .none
        case "nvidia": return nvidia
        case "auto": return access(nvidia.command[0], X_OK) == 0 ? nvidia : .none
        default: break
        }
        if accelerators.hasPrefix("exec:") {
            let words = accelerators.dropFirst(5).split(separator: " ").map(String.init)
            guard let program = words.first, program.hasPrefix("/"), access(program, X_OK) == 0 else {
                throw StartError(
                    "--accelerators", "exec: needs the absolute path of a program, not '\(words.first ?? "")'")
            }
            return .exec(command: words)
        }
        if accelerators.hasPrefix("replay:") {
            let path = String(accelerators.dropFirst(7))
            guard access(path, R_OK) == 0 else { throw StartError("--accelerators", "replay: \(path) cannot be read") }
            return .replay(path: path)
        }
        throw StartError("--accelerators", "'\(accelerators)' is none of auto, none, nvidia, exec:COMMAND, replay:FILE")
    }

    private func shimPath() throws(StartError) -> String {
        let path = shim.map(absolute) ?? "\(Files.parent(of: executable()))/asterism-shim"
        guard access(path, X_OK) == 0 else { throw StartError("--shim", "\(path) is not a program") }
        return path
    }
}

private func executable() -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
}

private func hostName() -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    _ = buffer.withUnsafeMutableBytes { gethostname($0.baseAddress!, $0.count - 1) }
    return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
}

private func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let current = getcwd(nil, 0) else { return path }
    defer { free(current) }
    return "\(String(cString: current))/\(path)"
}
