package import Base
package import EventLoop
import Glibc

/// Runs a vendor's tool and collects what it prints. A tool can hang forever inside a driver, so it has a deadline. Then it
/// gets SIGTERM. If it does not end, it is left alone, reported as hanging, and not started again until it has ended. It
/// never gets SIGKILL, since a kill inside a driver call has frozen devices.
package final class ToolRunner {
    package enum Outcome: Hashable, Sendable {
        case finished(output: [UInt8], status: Int32)
        case killed(signal: Int32)
        case timedOut
        /// The last one has not ended yet.
        case stillHanging
        case notStarted(SpawnError)
    }

    /// Output beyond this is cut off: no tool prints so much.
    package static let outputLimit = 8 << 20

    private let loop: Loop
    private let description: String
    private let timer: Timer
    private var child: ChildProcess?
    /// The descriptor that `poll` owns.
    private var pipe: Int32 = -1
    private var poll: Poll?
    private var output: [UInt8] = []
    private var onFinish: ((Outcome) -> Void)?

    package init(on loop: Loop, _ description: String) {
        self.loop = loop
        self.description = description
        let me = Weak<ToolRunner>()
        timer = Timer(on: loop, "\(description): deadline") { me.object?.expired() }
        me.object = self
    }

    /// `command[0]` is a path. `onFinish` is called once, unless the runner is closed before.
    package func run(_ command: [String], deadline: Interval, onFinish: @escaping (Outcome) -> Void) {
        guard child == nil else { return onFinish(.stillHanging) }
        precondition(!command.isEmpty, "\(description): no command")
        do throws(SpawnError) {
            try start(command)
        } catch {
            closeOutput()
            return onFinish(.notStarted(error))
        }
        self.onFinish = onFinish
        timer.arm(after: deadline)
    }

    package func close() {
        onFinish = nil
        timer.close()
        closeOutput()
        if let child { try? child.send(signal: SIGTERM) }
        child = nil
    }

    private func start(_ command: [String]) throws(SpawnError) {
        let ends: (read: Int32, write: Int32)
        do throws(Errno) { ends = try FileDescriptor.pipe().ends() } catch {
            throw SpawnError(step: .pipe, reason: error)
        }
        let reading = FileDescriptor(owning: ends.read), writing = FileDescriptor(owning: ends.write)
        var child = ChildCommand(
            command[0], Array(command.dropFirst()), environment: ["PATH=\(ToolRunner.path)", "LC_ALL=C"])
        child.descriptors = [nil, writing.raw, nil]
        child.startsSession = true
        output = []
        pipe = reading.raw
        _ = fcntl(pipe, F_SETFL, O_NONBLOCK)
        do throws(Errno) {
            poll = try Poll(on: loop, "\(description): output", owning: reading) { [weak self] _ in self?.readable() }
        } catch { throw SpawnError(step: .pipe, reason: error) }
        poll?.start([.readable, .disconnect])
        self.child = try ChildProcess(on: loop, description, child) { [weak self] exit in self?.exited(exit) }
    }

    package static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private func readable() {
        guard poll != nil else { return }
        let chunk = [UInt8](unsafeUninitializedCapacity: 64 << 10) { buffer, count in
            count = max(0, read(pipe, buffer.baseAddress, buffer.count))
        }
        if chunk.isEmpty, errno != EAGAIN { return closeOutput() }
        output += chunk.prefix(ToolRunner.outputLimit - output.count)
    }

    private func closeOutput() {
        poll?.close()
        poll = nil
        pipe = -1
    }

    private func exited(_ exit: ChildExit) {
        timer.cancel()
        // The bytes that are still in the pipe were written before the end.
        for _ in 0..<ToolRunner.outputLimit / (64 << 10) where poll != nil {
            let before = output.count
            readable()
            if output.count == before { break }
        }
        closeOutput()
        child = nil
        guard let finish = onFinish else { return }
        onFinish = nil
        switch exit.status {
        case .exited(let code): finish(.finished(output: output, status: code))
        case .killed(let signal, _): finish(.killed(signal: signal))
        }
    }

    private func expired() {
        try? child?.send(signal: SIGTERM)
        guard let finish = onFinish else { return }
        onFinish = nil
        finish(.timedOut)
    }
}
