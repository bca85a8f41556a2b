import Base
import Control
import EventLoop
import Glibc
import Platform
import Wire

/// One child process that serves a peer which measures: its pipes, its one-time token, and the end of its time.
final class BenchServer {
    /// What the child listens on.
    struct Ports {
        private(set) var tcp: UInt16
        private(set) var udp: UInt16
    }

    private static let lineLimit = 64
    /// How long a server may go on after its time before it is killed.
    private static let grace = Interval.seconds(2)

    private(set) var number: UInt64
    private(set) var token = Entropy.bytes(BenchAnswer.Server.tokenCount)
    private var child: ChildProcess?
    private var input: Int32 = -1
    /// The descriptor that `poll` owns.
    private var output: Int32 = -1
    private var poll: Poll?
    private var timer: Timer?
    private var line: [UInt8] = []

    init(_ number: UInt64) { self.number = number }

    /// Starts the child. `onReady` is called when it listens, `onExit` when it has ended.
    func launch(
        _ program: String, _ service: BenchService, on loop: Loop, onReady: @escaping (Ports) -> Void,
        onExit: @escaping (ChildExit) -> Void
    ) throws(SpawnError) {
        var ends: (input: (read: Int32, write: Int32), output: (read: Int32, write: Int32))
        do throws(Errno) { ends.input = try FileDescriptor.pipe().ends() } catch {
            throw SpawnError(step: .pipe, reason: error)
        }
        let childInput = FileDescriptor(owning: ends.input.read)
        input = ends.input.write
        do throws(Errno) { ends.output = try FileDescriptor.pipe().ends() } catch {
            throw SpawnError(step: .pipe, reason: error)
        }
        let childOutput = FileDescriptor(owning: ends.output.write)
        output = ends.output.read
        let reading = FileDescriptor(owning: ends.output.read)
        var command = ChildCommand(
            program, ["bench-serve", "--address", "\(service.address)", "--seconds", "\(service.seconds)"],
            environment: ["PATH=\(ToolRunner.path)", "LC_ALL=C"])
        command.descriptors = [childInput.raw, childOutput.raw, nil]
        command.startsSession = true
        command.forbidsNewPrivileges = true
        command.parentDeathSignal = SIGKILL
        // To be killed before anything of the fleet: the agent may have protected itself.
        command.oomScore = 500
        do throws(Errno) {
            poll = try Poll(on: loop, "bench server: output", owning: reading) { [weak self] _ in
                if let ports = self?.readPorts() { onReady(ports) }
            }
        } catch { throw SpawnError(step: .pipe, reason: error) }
        child = try ChildProcess(on: loop, "bench server", command, onExit: onExit)
        // A new pipe has space for a line.
        let line = Array(token.hex.utf8) + [UInt8(ascii: "\n")]
        _ = line.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
        poll?.start([.readable, .disconnect])
        let timer = Timer(on: loop, "bench server: deadline") { [weak self] in self?.kill() }
        timer.arm(after: .seconds(service.seconds) + BenchServer.grace)
        self.timer = timer
    }

    func kill() { try? child?.send(signal: SIGKILL) }

    /// Releases everything except the child.
    func release() {
        closeOutput()
        timer?.close()
        if input >= 0 { Glibc.close(input) }
        input = -1
    }

    func close() {
        kill()
        child?.close()
        release()
    }

    /// The ports, when the child's line is whole. A child that prints something else is killed.
    private func readPorts() -> Ports? {
        guard poll != nil else { return nil }
        let chunk = [UInt8](unsafeUninitializedCapacity: BenchServer.lineLimit) { buffer, count in
            count = max(0, read(output, buffer.baseAddress, buffer.count))
        }
        if chunk.isEmpty, errno == EAGAIN { return nil }
        line += chunk
        guard line.last == UInt8(ascii: "\n") else {
            if chunk.isEmpty || line.count > BenchServer.lineLimit { kill() }
            if chunk.isEmpty { closeOutput() }
            return nil
        }
        closeOutput()
        let words = String(decoding: line.dropLast(), as: UTF8.self).split(separator: " ")
        guard words.count == 2, let tcp = UInt16(words[0]), let udp = UInt16(words[1]) else {
            kill()
            return nil
        }
        return Ports(tcp: tcp, udp: udp)
    }

    private func closeOutput() {
        poll?.close()
        poll = nil
    }
}
