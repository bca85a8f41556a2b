import ArgumentParser
import Base
import Control
import Foundation

struct Bench: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Measures throughput, latency under load and loss to a node through the mesh, in both directions.",
        discussion: """
            The node's agent opens a server for the measurement if its --bench permits that. Both nodes need an \
            overlay interface. Round trips are measured over UDP, a hundred a second: first on the idle path, then \
            under TCP load in each direction.
            """)

    @OptionGroup var common: Common
    @Argument(help: "A node's name, overlay address, id, or four or more first digits of its id.") var peer: String
    @Option(help: "Seconds for each direction, 1 to 45.") var duration: Int = 5
    @Option(help: "Parallel TCP connections, 1 to 16.") var streams: Int = 1
    @Option(help: "Bytes of each UDP datagram, 24 to 8000.") var udpSize: Int = 64

    func validate() throws {
        guard (1...45).contains(duration) else {
            throw ValidationError("--duration must be 1 to 45 seconds, not \(duration)")
        }
        guard (1...16).contains(streams) else { throw ValidationError("--streams must be 1 to 16, not \(streams)") }
        guard (BenchTrips.leastBytes...8000).contains(udpSize) else {
            throw ValidationError("--udp-size must be \(BenchTrips.leastBytes) to 8000 bytes, not \(udpSize)")
        }
    }

    func perform() throws {
        let link = try common.link(.agent)
        let seconds = Double(duration)
        let request = BenchStart(peer: peer, seconds: BenchClient.serverSeconds(seconds))
        // A lost answer leaves one unused server; a repeated request would start a second one.
        let answer = try link.call(request, repeats: false, within: common.timeout + 20)
        let server: BenchView = try answer.view()
        guard let token = [UInt8](hex: server.token), token.count == BenchSocket.tokenCount else {
            throw Failure(.refused, "the agent's answer holds no token")
        }
        let isQuiet = common.json
        let name = (server.name ?? server.node.short).printable
        if !isQuiet { writeOut("\(name) at \(server.address), through the mesh\n") }
        let client = BenchClient(server: server, token: token, streams: streams, udpBytes: udpSize, seconds: seconds) {
            if !isQuiet { writeOut("\($0.padded)  \($1)\n") }
        }
        let report: BenchReport
        do throws(BenchFault) { report = try client.run() } catch {
            throw Failure(.unavailable, "\(name): \(error.text)")
        }
        if isQuiet { writeOut(try JSONText.document(report)) }
    }
}

extension String {
    /// Padded to the width of the longest word that begins a line.
    fileprivate var padded: String { self + String(repeating: " ", count: max(0, 5 - count)) }
}

/// The far end of a measurement. Agents start it.
struct BenchServe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-serve", abstract: "Serves one measurement; agents start this.", shouldDisplay: false)

    @Option(help: "The overlay address to listen at.") var address: String
    @Option(help: "How long, in seconds.") var seconds: Int

    func run() throws {
        guard let address = IPAddress(address) else { throw ValidationError("'\(address)' is not an IP address") }
        guard (1...120).contains(seconds) else { throw ValidationError("--seconds must be 1 to 120") }
        guard let line = readLine(), let token = [UInt8](hex: line), token.count == BenchSocket.tokenCount else {
            throw Failure(.usage, "the token, 32 hexadecimal digits, comes on the standard input")
        }
        let server: BenchServer
        do throws(BenchFault) {
            server = try BenchServer(at: address, token: token, seconds: Double(seconds))
        } catch { throw Failure(.unavailable, error.text) }
        dropPrivileges()
        writeOut("\(server.ports.tcp) \(server.ports.udp)\n")
        server.run()
        Foundation.exit(ExitStatus.ok.rawValue)
    }

    /// Unauthenticated peers connect to this process, and it needs no privileges.
    private func dropPrivileges() {
        let nobody: uid_t = 65_534
        guard geteuid() == 0 else { return }
        guard setgroups(0, nil) == 0, setgid(nobody) == 0, setuid(nobody) == 0 else {
            // In a container without CAP_SETUID root is nobody already.
            return
        }
    }
}
