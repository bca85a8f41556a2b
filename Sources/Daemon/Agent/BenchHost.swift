import Base
import Control
import EventLoop
import Glibc
import Platform
import Wire

/// # Servers for measuring
///
/// A peer that measures the way to this node gets a server of its own: a child process, `asterism bench-serve`,
/// so that its traffic uses no time of the agent's loop. The one-time token goes to the child through its standard input,
/// which does not show in a process list. Its two ports come back in one line. It ends by itself, or is killed when its time
/// is over. The agent holds its standard input open, so the child also ends with the agent.
final class BenchHost {
    enum Event {
        case serving(UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8])
        case ended(UInt64, why: String)
    }

    private let loop: Loop
    private let program: String
    private let onEvent: (Event) -> Void
    private var servers: [BenchServer] = []

    init(on loop: Loop, program: String, onEvent: @escaping (Event) -> Void) {
        self.loop = loop
        self.program = program
        self.onEvent = onEvent
    }

    /// Where the start fails at once, that is reported before this returns.
    func start(_ service: BenchService) {
        let server = BenchServer(service.number), number = service.number
        do throws(SpawnError) {
            try server.launch(
                program, service, on: loop, onReady: { [weak self] in self?.ready(number, $0) },
                onExit: { [weak self] in self?.exited(number, $0) })
        } catch {
            server.release()
            return onEvent(.ended(number, why: "\(program): \(error)"))
        }
        servers.append(server)
    }

    func end(_ number: UInt64) { servers.first { $0.number == number }?.kill() }

    func close() {
        for server in servers { server.close() }
        servers = []
    }

    private func ready(_ number: UInt64, _ ports: BenchServer.Ports) {
        guard let server = servers.first(where: { $0.number == number }) else { return }
        onEvent(.serving(number, tcpPort: ports.tcp, udpPort: ports.udp, token: server.token))
    }

    private func exited(_ number: UInt64, _ exit: ChildExit) {
        guard let index = servers.firstIndex(where: { $0.number == number }) else { return }
        servers.remove(at: index).release()
        onEvent(.ended(number, why: "\(exit.status)"))
    }
}
