import Base
import Control
import EventLoop
import Glibc
import Platform
import Wire

/// # Servers for measuring
///
/// A peer that wants to measure the way to this node gets a server of its own: a child process, `asterism bench-serve`,
/// so that what it carries takes no time of the agent's loop. The one-time token goes to the child through its standard
/// input, which nobody sees in a process list; its two ports come back in one line. It ends by itself, or is killed when
/// its time is over; and the end of its standard input, which the agent holds open, ends it with the agent.
final class BenchHost {
    enum Event {
        case serving(UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8])
        case ended(UInt64, why: String)
    }

    private final class Server {
        let number: UInt64
        let token = Entropy.bytes(BenchAnswer.Server.tokenCount)
        var child: ChildProcess?
        var input: Int32 = -1
        /// The descriptor that `poll` owns.
        var output: Int32 = -1
        var poll: Poll?
        var timer: Timer?
        var line: [UInt8] = []

        init(_ number: UInt64) { self.number = number }
    }

    private let loop: Loop
    private let program: String
    private let onEvent: (Event) -> Void
    private var servers: [Server] = []
    private static let lineLimit = 64
    /// What a server is given beyond its time before it is killed.
    private static let grace = Interval.seconds(2)

    init(on loop: Loop, program: String, onEvent: @escaping (Event) -> Void) {
        self.loop = loop
        self.program = program
        self.onEvent = onEvent
    }

    /// Tells of it before it returns where that fails at once.
    func start(_ service: BenchService) {
        let server = Server(service.number)
        do throws(SpawnError) { try launch(server, service) } catch {
            release(server)
            return onEvent(.ended(service.number, why: "\(program): \(error)"))
        }
        servers.append(server)
    }

    func end(_ number: UInt64) {
        guard let server = servers.first(where: { $0.number == number }) else { return }
        try? server.child?.send(signal: SIGKILL)
    }

    func close() {
        for server in servers {
            try? server.child?.send(signal: SIGKILL)
            server.child?.close()
            release(server)
        }
        servers = []
    }

    private func launch(_ server: Server, _ service: BenchService) throws(SpawnError) {
        var ends: (input: (read: Int32, write: Int32), output: (read: Int32, write: Int32))
        do throws(Errno) { ends.input = try FileDescriptor.pipe().ends() } catch {
            throw SpawnError(step: .pipe, reason: error)
        }
        let childInput = FileDescriptor(owning: ends.input.read)
        server.input = ends.input.write
        do throws(Errno) { ends.output = try FileDescriptor.pipe().ends() } catch {
            throw SpawnError(step: .pipe, reason: error)
        }
        let childOutput = FileDescriptor(owning: ends.output.write)
        server.output = ends.output.read
        let reading = FileDescriptor(owning: ends.output.read)
        var command = ChildCommand(
            program, ["bench-serve", "--address", "\(service.address)", "--seconds", "\(service.seconds)"],
            environment: ["PATH=\(ToolRunner.path)", "LC_ALL=C"])
        command.descriptors = [childInput.raw, childOutput.raw, nil]
        command.startsSession = true
        command.forbidsNewPrivileges = true
        command.parentDeathSignal = SIGKILL
        // Before anything of the fleet's: the agent may have protected itself.
        command.oomScore = 500
        let number = service.number
        do throws(Errno) {
            server.poll = try Poll(on: loop, "bench server: output", owning: reading) { [weak self] _ in
                self?.readable(number)
            }
        } catch { throw SpawnError(step: .pipe, reason: error) }
        server.child = try ChildProcess(on: loop, "bench server", command) { [weak self] exit in
            self?.exited(number, exit)
        }
        // A new pipe has room for a line.
        let line = Array(server.token.hex.utf8) + [UInt8(ascii: "\n")]
        _ = line.withUnsafeBytes { write(server.input, $0.baseAddress, $0.count) }
        server.poll?.start([.readable, .disconnect])
        let timer = Timer(on: loop, "bench server: deadline") { [weak self] in self?.end(number) }
        timer.arm(after: .seconds(service.seconds) + BenchHost.grace)
        server.timer = timer
    }

    private func readable(_ number: UInt64) {
        guard let server = servers.first(where: { $0.number == number }), server.poll != nil else { return }
        let chunk = [UInt8](unsafeUninitializedCapacity: BenchHost.lineLimit) { buffer, count in
            count = max(0, read(server.output, buffer.baseAddress, buffer.count))
        }
        if chunk.isEmpty, errno == EAGAIN { return }
        server.line += chunk
        guard server.line.last == UInt8(ascii: "\n") else {
            if chunk.isEmpty || server.line.count > BenchHost.lineLimit { end(number) }
            if chunk.isEmpty { closeOutput(server) }
            return
        }
        closeOutput(server)
        let words = String(decoding: server.line.dropLast(), as: UTF8.self).split(separator: " ")
        guard words.count == 2, let tcpPort = UInt16(words[0]), let udpPort = UInt16(words[1]) else {
            return end(number)
        }
        onEvent(.serving(number, tcpPort: tcpPort, udpPort: udpPort, token: server.token))
    }

    private func exited(_ number: UInt64, _ exit: ChildExit) {
        guard let index = servers.firstIndex(where: { $0.number == number }) else { return }
        release(servers.remove(at: index))
        onEvent(.ended(number, why: "\(exit.status)"))
    }

    private func closeOutput(_ server: Server) {
        server.poll?.close()
        server.poll = nil
    }

    private func release(_ server: Server) {
        closeOutput(server)
        server.timer?.close()
        if server.input >= 0 { Glibc.close(server.input) }
        server.input = -1
    }
}
