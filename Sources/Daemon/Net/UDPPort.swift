import Base
package import EventLoop
import Glibc

/// A UDP port: one socket for each family that the node listens on, at one port number.
///
/// A port can be shared with other threads, each of which adopts its descriptors on its own loop. It can be opened again
/// while it is in use.
package final class UDPPort {
    package typealias Sockets = (four: DatagramSocket?, six: DatagramSocket?)

    private var sockets: Sockets
    private var batch6 = DatagramBatch()
    private var receiver: PortReceiver?
    /// False where others receive what comes to this port.
    private var receives = true
    /// `nil` for a port that was adopted: its owner opens it again.
    private var open: ((UInt16) throws(Errno) -> Sockets)?
    /// The counts of sockets that were replaced by new ones.
    private var past = Figures()
    /// Datagrams to a family that this node does not listen on.
    private(set) var unroutable = 0

    private struct Figures {
        private(set) var received: UInt64 = 0
        private(set) var truncated: UInt64 = 0
        private(set) var dropped: UInt64 = 0
        private(set) var failed: UInt64 = 0
        private(set) var tooLarge: UInt64 = 0

        mutating func add(_ socket: DatagramSocket?) {
            guard let socket else { return }
            received += socket.counters.datagramsReceived
            truncated += socket.counters.truncated
            dropped += socket.counters.backlogDropped
            failed += socket.counters.sendErrors.values.reduce(0, +)
            tooLarge += socket.counters.trainsTooLarge
        }
    }

    /// Binds `address`; `[::]` means both families, on one port.
    init(
        on loop: Loop, bind address: SocketAddress, options: DatagramSocket.Options,
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        let open = { (number: UInt16) throws(Errno) -> Sockets in
            func open(_ name: String, _ ip: IPAddress, _ number: UInt16) throws(Errno) -> DatagramSocket {
                try DatagramSocket(
                    on: loop, "mesh (\(name))", bind: SocketAddress(ip, number), options: options, onReceive: onReceive)
            }
            if address.ip.isIPv4 { return (try open("IPv4", address.ip, number), nil) }
            let six = try open("IPv6", address.ip, number)
            guard address.ip.isUnspecified else { return (nil, six) }
            do throws(Errno) { return (try open("IPv4", .any4, six.localAddress?.port ?? number), six) } catch {
                six.close()
                throw error
            }
        }
        sockets = try open(address.port)
        self.open = open
    }

    /// The port on another loop. One that does not receive still sends.
    init(
        on loop: Loop, adopting descriptors: PortDescriptors, options: DatagramSocket.Options, receives: Bool
    ) throws(Errno) {
        sockets = try UDPPort.sockets(on: loop, adopting: descriptors, options: options)
        if !receives { stopReceiving() }
    }

    func close() {
        (receiver, open) = (nil, nil)
        sockets.four?.close()
        sockets.six?.close()
    }

    var localAddress: SocketAddress? { sockets.six?.localAddress ?? sockets.four?.localAddress }

    /// Descriptors for so many pairs of threads; see `PortDescriptors`.
    func shares(pairs: Int) throws(Errno) -> [PortDescriptors] { try PortDescriptors.shares(of: sockets, pairs: pairs) }

    /// Leaves receiving to others that have this port.
    func stopReceiving() {
        receives = false
        sockets.four?.pauseReceiving()
        sockets.six?.pauseReceiving()
    }

    func attach(_ receiver: PortReceiver) {
        self.receiver = receiver
        sockets.four?.attach(receiver, 0)
        sockets.six?.attach(receiver, 0)
    }

    // MARK: - Opened again

    /// Opens both sockets again, at that port or at one that the kernel chooses (0). The result is as of `shares`, for as many
    /// pairs. On an error nothing has changed.
    func rebind(to number: UInt16, pairs: Int) throws(Errno) -> [PortDescriptors] {
        guard let open else { throw Errno(EBADF) }
        let fresh = try open(number)
        let shares: [PortDescriptors]
        do throws(Errno) { shares = try PortDescriptors.shares(of: fresh, pairs: pairs) } catch {
            fresh.four?.close()
            fresh.six?.close()
            throw error
        }
        replace(by: fresh)
        return shares
    }

    /// Continues with the sockets of a port that was opened again. On an error it has no sockets.
    func adopt(_ descriptors: PortDescriptors, on loop: Loop, options: DatagramSocket.Options) throws(Errno) {
        do throws(Errno) {
            replace(by: try UDPPort.sockets(on: loop, adopting: descriptors, options: options))
        } catch {
            replace(by: (nil, nil))
            throw error
        }
    }

    private func replace(by fresh: Sockets) {
        past = figures
        sockets.four?.close()
        sockets.six?.close()
        sockets = fresh
        if !receives { stopReceiving() }
        if let receiver { attach(receiver) }
        // A receiver that waits for a closed socket would wait forever.
        receiver?.writable()
    }

    private static func sockets(
        on loop: Loop, adopting descriptors: PortDescriptors, options: DatagramSocket.Options
    ) throws(Errno) -> Sockets {
        func adopt(_ number: Int32?, _ family: String) throws(Errno) -> DatagramSocket? {
            guard let number else { return nil }
            return try DatagramSocket(
                on: loop, "mesh (\(family))", adopting: FileDescriptor(owning: number), isConnected: false,
                options: options, onReceive: { _ in })
        }
        let (four, six) = descriptors.take()
        return (try adopt(four, "IPv4"), try adopt(six, "IPv6"))
    }

    // MARK: - Out

    /// Sends what is in `batch` and empties it.
    func send(_ batch: inout DatagramBatch) {
        guard !batch.isEmpty else { return }
        if let four = sockets.four, sockets.six == nil, batch.entries.allSatisfy({ $0.remote.ip.isIPv4 }) {
            four.send(&batch)
            return batch.removeAll()
        }
        var batch4 = DatagramBatch()
        for position in 0..<batch.count {
            let remote = batch.entries[position].remote
            if remote.ip.isIPv4, sockets.four != nil {
                batch4.append(batch.bytes(at: position), remote: remote)
            } else if !remote.ip.isIPv4, sockets.six != nil {
                batch6.append(batch.bytes(at: position), remote: remote)
            } else {
                unroutable += 1
            }
        }
        sockets.four?.send(&batch4)
        sockets.six?.send(&batch6)
        batch6.removeAll()
        batch.removeAll()
    }

    /// The socket that sends datagrams to that family.
    func socket(isIPv4: Bool) -> DatagramSocket? { isIPv4 ? sockets.four : sockets.six }

    private var figures: Figures {
        var sum = past
        sum.add(sockets.four)
        sum.add(sockets.six)
        return sum
    }

    var counters: [(name: String, count: Int)] {
        let sum = figures
        return [
            ("socket.received", Int(sum.received)), ("dropped.oversized", Int(sum.truncated)),
            ("socket.backlogDropped", Int(sum.dropped)), ("socket.sendErrors", Int(sum.failed)),
            ("socket.trainsTooLarge", Int(sum.tooLarge)),
        ]
    }
}

extension DatagramSocket {
    /// `number` is the socket's among the node's; 0 is the port itself.
    func attach(_ receiver: PortReceiver, _ number: UInt16) {
        onMessage = { receiver.message($0, $1, $2, $3, number) }
        onRound = receiver.round
        onWritable = receiver.writable
        onTooLarge = receiver.tooLarge
        onUnreachable = { remote, reason in
            if reason.isMessageTooLarge { receiver.tooLarge(remote) }
        }
    }
}
