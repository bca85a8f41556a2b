import Base
import EventLoop
import Mesh

/// One discovery, its sockets and its timer. At its end the sockets are closed; the findings stay.
final class NATDiscoveryRun<Machine: NATDiscoveryMachine & ~Copyable> {
    private(set) var machine: Machine
    private let loop: Loop
    private var sockets: [DatagramSocket] = []
    private var timer: Timer!
    private var onEnd: (() -> Void)?
    /// Destinations to which the kernel did not send; the machine is informed in the loop's next turn.
    private var refused: [SocketAddress] = []

    /// Opens `count` sockets at free ports of `any`, and makes the machine, which gets the ports. `onEnd` is called once,
    /// later.
    init(
        on loop: Loop, _ description: String, count: Int, any: IPAddress,
        _ make: ([UInt16], inout DatagramBatch) -> Machine, onEnd: @escaping () -> Void
    ) throws(Errno) {
        self.loop = loop
        self.onEnd = onEnd
        let me = Weak<NATDiscoveryRun>()
        var sockets: [DatagramSocket] = []
        for number in 0..<UInt16(count) {
            let socket = try DatagramSocket(
                on: loop, "\(description) (socket \(number))", bind: SocketAddress(any, 0)
            ) { batch in
                for index in batch.entries.indices { batch.setSocket(number, at: index) }
                me.object?.received(&batch)
            }
            socket.onUnreachable = { remote, _ in me.object?.unreachable(remote) }
            sockets.append(socket)
        }
        var out = DatagramBatch(capacity: 4096)
        machine = make(sockets.map { $0.localAddress?.port ?? 0 }, &out)
        self.sockets = sockets
        timer = Timer(on: loop, description) { me.object?.ticked() }
        me.object = self
        settle(&out)
    }

    func close() {
        onEnd = nil
        stop()
    }

    private func stop() {
        for socket in sockets { socket.close() }
        sockets = []
        timer.close()
    }

    private func received(_ batch: inout DatagramBatch) {
        var out = DatagramBatch(capacity: 4096)
        machine.received(&batch, now: loop.now, into: &out)
        settle(&out)
    }

    private func ticked() {
        var out = DatagramBatch(capacity: 4096)
        for remote in refused { machine.unreachable(remote, now: loop.now, into: &out) }
        refused = []
        machine.tick(now: loop.now, into: &out)
        settle(&out)
    }

    private func unreachable(_ remote: SocketAddress) {
        var out = DatagramBatch(capacity: 4096)
        machine.unreachable(remote, now: loop.now, into: &out)
        settle(&out)
    }

    /// Sends the machine's datagrams, and arms the timer for its deadline.
    private func settle(_ out: inout DatagramBatch) {
        var one = DatagramBatch(capacity: 2048)
        for index in 0..<out.count where !sockets.isEmpty {
            let entry = out.entries[index], socket = sockets[Int(entry.socket)]
            let before = socket.counters.sendErrors.values.reduce(0, +)
            one.append(out.bytes(at: index), remote: entry.remote)
            socket.send(&one)
            one.removeAll()
            if socket.counters.sendErrors.values.reduce(0, +) != before { refused.append(entry.remote) }
        }
        if !refused.isEmpty { return timer.arm(at: loop.now) }
        guard !machine.isDone else {
            stop()
            let onEnd = onEnd
            self.onEnd = nil
            onEnd?()
            return
        }
        // A machine that is not done waits for something.
        if let deadline = machine.deadline { timer.arm(at: deadline.at) }
    }
}
