package import Base
package import EventLoop
import Glibc
import Wire

/// A node's UDP port: one socket for each family that it listens on, under one roof.
package final class MeshPort {
    private var socket4: DatagramSocket?
    private var socket6: DatagramSocket?
    private var batch6 = DatagramBatch()
    /// Sockets beside the first, by their numbers: each has a mapping of its own in a translator.
    private var others: [UInt16: DatagramSocket] = [:]
    /// Datagrams over TCP.
    private var streams: StreamPort?
    /// On another loop than the agent's: takes what goes by sockets that only that one has.
    private var hand: ((inout DatagramBatch) -> Void)?
    private var openOther: ((UInt16) throws(Errno) -> DatagramSocket)?
    private var receiver: Receiver?
    private typealias Pair = (four: DatagramSocket?, six: DatagramSocket?)
    private var openPair: ((UInt16) throws(Errno) -> Pair)?
    /// False where others receive what comes to this port.
    private var receives = true
    /// Of sockets that were closed for new ones.
    private var past: [(name: String, count: Int)] = []
    /// Datagrams to a family that this node does not listen on.
    package private(set) var unroutable = 0

    /// Binds `address`; `[::]` means both families, on one port. With `joinsDatagrams` whoever calls `attach` gets
    /// messages as they come, and `onReceive` nothing.
    package init(
        on loop: Loop, bind address: SocketAddress, joinsDatagrams: Bool = false,
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        let options = MeshPort.options(joinsDatagrams: joinsDatagrams)
        let me = Weak(self)
        openOther = { number throws(Errno) in
            // Where the first socket is bound to one address, the others are as well.
            let place = SocketAddress(address.ip.isIPv4 ? address.ip : .any4, 0)
            let socket = try DatagramSocket(on: loop, "mesh (socket \(number))", bind: place, options: options) {
                batch in
                for index in batch.entries.indices { batch.setSocket(number, at: index) }
                onReceive(&batch)
            }
            me.object?.attachReceiver(to: socket, number)
            return socket
        }
        let openPair = { (number: UInt16) throws(Errno) -> Pair in
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
        (socket4, socket6) = try openPair(address.port)
        self.openPair = openPair
    }

    /// Opens all sockets anew, as after a change of network, at that port or at one that the kernel chooses (0). The result
    /// is as of `shares`, for as many pairs. Where something fails, all is as it was.
    @discardableResult
    package func rebind(to number: UInt16, pairs: Int = 0) throws(Errno) -> [Descriptors] {
        guard let openPair else { throw Errno(EBADF) }
        let fresh = try openPair(number)
        let shares: [Descriptors]
        do throws(Errno) { shares = try MeshPort.shares(of: fresh, pairs: pairs) } catch {
            fresh.four?.close()
            fresh.six?.close()
            throw error
        }
        replace(by: fresh)
        for number in others.keys {
            others[number]?.close()
            others[number] = try? openOther?(number)
        }
        return shares
    }

    private func replace(by fresh: Pair) {
        past = counters
        unroutable = 0
        socket4?.close()
        socket6?.close()
        (socket4, socket6) = fresh
        if !receives { stopReceiving() }
        for socket in [socket4, socket6].compactMap({ $0 }) { attachReceiver(to: socket, 0) }
        // Whoever waits for a socket that is closed would do so for ever.
        receiver?.writable()
    }

    /// Where a socket beside the first is bound to.
    package func localPort(of number: UInt16) -> UInt16? {
        number == 0 ? localAddress?.port : others[number]?.localAddress?.port
    }

    /// Sends over TCP as well, and takes connections at `addresses`. `onLost` as with `StreamPort`.
    package func openStreams(
        on loop: Loop, listen addresses: [SocketAddress], onReceive: @escaping (inout DatagramBatch) -> Void,
        onLost: @escaping (SocketAddress) -> Void
    ) throws(Errno) {
        let me = Weak(self)
        // As with UDP, `[::]` means both families.
        let both = addresses.flatMap { address in
            address.ip == .any6 ? [address, SocketAddress(.any4, address.port)] : [address]
        }
        streams = try StreamPort(
            on: loop, listen: both,
            onReceive: { batch in
                guard let receiver = me.object?.receiver else { return onReceive(&batch) }
                for position in 0..<batch.count {
                    let entry = batch.entries[position]
                    batch.withBytes(at: position) { receiver.message($0, $0.count, 0, entry.remote, entry.socket) }
                }
                receiver.round()
            }, onLost: onLost)
    }

    /// Where it takes connections.
    package var streamAddresses: [SocketAddress] { streams?.localAddresses ?? [] }

    private static func options(joinsDatagrams: Bool) -> DatagramSocket.Options {
        var options = DatagramSocket.Options()
        options.joinsDatagrams = joinsDatagrams
        options.receiveBuffer = 4 << 20
        options.sendBuffer = 4 << 20
        return options
    }

    // MARK: - Other threads

    /// Descriptors of a port on their way to another thread. Whoever has them makes a port of them, or closes them.
    package struct Descriptors: Sendable {
        fileprivate var four: Int32?
        fileprivate var six: Int32?

        package func close() { for number in [four, six] { if let number { _ = FileDescriptor(owning: number) } } }
    }

    /// This port for so many pairs of threads: for each pair the one that sends, then the one that receives. The first pair
    /// gets this very socket, each further one a sibling at the same address, and the kernel gives each sender's datagrams
    /// to one of them.
    package func shares(pairs: Int) throws(Errno) -> [Descriptors] {
        try MeshPort.shares(of: (socket4, socket6), pairs: pairs)
    }

    private static func shares(of port: Pair, pairs: Int) throws(Errno) -> [Descriptors] {
        func share(_ socket: DatagramSocket?, _ pair: Int) throws(Errno) -> Int32? {
            try (pair == 0 ? socket?.duplicate() : socket?.sibling())?.release()
        }
        func copy(_ number: Int32?) throws(Errno) -> Int32? {
            guard let number else { return nil }
            let original = FileDescriptor(owning: number)
            let copy = Result { () throws(Errno) in try original.duplicate().release() }
            _ = original.release()
            return try copy.get()
        }
        // What was made until something failed has to be closed, so each descriptor has its place at once.
        var all: [Descriptors] = []
        do throws(Errno) {
            for pair in 0..<pairs {
                all.append(Descriptors())
                all[pair * 2].four = try share(port.four, pair)
                all[pair * 2].six = try share(port.six, pair)
                all.append(Descriptors())
                all[pair * 2 + 1].four = try copy(all[pair * 2].four)
                all[pair * 2 + 1].six = try copy(all[pair * 2].six)
            }
        } catch {
            for each in all { each.close() }
            throw error
        }
        return all
    }

    /// The port on another loop. One that does not receive still sends. What goes by other sockets than those that the node
    /// listens on is given to `hand`.
    package init(
        on loop: Loop, adopting descriptors: Descriptors, receives: Bool,
        hand: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        self.hand = hand
        (socket4, socket6) = try MeshPort.sockets(on: loop, adopting: descriptors)
        if !receives { stopReceiving() }
    }

    /// Goes on with the sockets of a port that was opened anew. Where that fails it has none.
    package func adopt(_ descriptors: Descriptors, on loop: Loop) throws(Errno) {
        do throws(Errno) { replace(by: try MeshPort.sockets(on: loop, adopting: descriptors)) } catch {
            replace(by: (nil, nil))
            throw error
        }
    }

    private static func sockets(on loop: Loop, adopting descriptors: Descriptors) throws(Errno) -> Pair {
        let options = MeshPort.options(joinsDatagrams: true)
        func adopt(_ number: Int32?, _ family: String) throws(Errno) -> DatagramSocket? {
            guard let number else { return nil }
            return try DatagramSocket(
                on: loop, "mesh (\(family))", adopting: FileDescriptor(owning: number), isConnected: false,
                options: options, onReceive: { _ in })
        }
        return (try adopt(descriptors.four, "IPv4"), try adopt(descriptors.six, "IPv6"))
    }

    /// Leaves receiving to others that have this port.
    package func stopReceiving() {
        receives = false
        socket4?.pauseReceiving()
        socket6?.pauseReceiving()
    }

    package var localAddress: SocketAddress? { socket6?.localAddress ?? socket4?.localAddress }

    /// Sends what is in `batch` and empties it.
    package func send(_ batch: inout DatagramBatch) {
        guard !batch.isEmpty else { return }
        if batch.entries.contains(where: { $0.socket != 0 }) { return sendApart(&batch) }
        if let socket4, socket6 == nil, batch.entries.allSatisfy({ $0.remote.ip.isIPv4 }) {
            socket4.send(&batch)
            batch.removeAll()
            return
        }
        var batch4 = DatagramBatch()
        for position in 0..<batch.count {
            let remote = batch.entries[position].remote
            if remote.ip.isIPv4, socket4 != nil {
                batch4.append(batch.bytes(at: position), remote: remote)
            } else if !remote.ip.isIPv4, socket6 != nil {
                batch6.append(batch.bytes(at: position), remote: remote)
            } else {
                unroutable += 1
            }
        }
        socket4?.send(&batch4)
        socket6?.send(&batch6)
        batch6.removeAll()
        batch.removeAll()
    }

    /// What goes by other sockets, each by its own; the rest as ever.
    private func sendApart(_ batch: inout DatagramBatch) {
        var first = DatagramBatch(), one = DatagramBatch(capacity: 2048)
        for position in 0..<batch.count {
            let entry = batch.entries[position]
            guard entry.socket != 0 else {
                first.append(batch.bytes(at: position), remote: entry.remote)
                continue
            }
            if entry.socket >= PathAddress.tcpOut {
                sendByStream(batch.bytes(at: position), entry.remote, entry.socket)
                continue
            }
            guard let socket = other(entry.socket), entry.remote.ip.isIPv4 else {
                unroutable += 1
                continue
            }
            one.append(batch.bytes(at: position), remote: entry.remote)
            socket.send(&one)
            one.removeAll()
        }
        batch.removeAll()
        send(&first)
    }

    private func sendByStream(_ bytes: [UInt8], _ remote: SocketAddress, _ socket: UInt16) {
        guard let streams else {
            unroutable += 1
            return
        }
        bytes.withUnsafeBytes { streams.send($0, to: remote, socket: socket) }
    }

    /// Each of its datagrams by itself: a connection has no use for trains, and neither has a letter.
    private func sendSingly(_ train: Train, in memory: UnsafeMutableRawPointer) {
        let datagrams = stride(from: train.offset, to: train.offset + train.count, by: train.segment).lazy.map {
            start in
            let count = min(train.segment, train.offset + train.count - start)
            return UnsafeRawBufferPointer(start: memory + start, count: count)
        }
        if let streams {
            for datagram in datagrams { streams.send(datagram, to: train.remote, socket: train.socket) }
        } else if let hand {
            var batch = DatagramBatch(capacity: train.count + train.count / train.segment * 16)
            for datagram in datagrams { batch.append(datagram, remote: train.remote, socket: train.socket) }
            hand(&batch)
        } else {
            unroutable += 1
        }
    }

    private func other(_ number: UInt16) -> DatagramSocket? {
        if let socket = others[number] { return socket }
        // Without it nothing is lost but a chance.
        let socket = try? openOther?(number)
        others[number] = socket
        return socket
    }

    /// Closes sockets beside the first.
    package func close(_ numbers: [UInt16]) {
        for number in numbers { others.removeValue(forKey: number)?.close() }
    }

    // MARK: - Trains

    /// Who takes messages whole, and is told when trains may be sent again, and when one was too large for its path.
    package struct Receiver {
        package var message: (UnsafeMutableRawBufferPointer, Int, UInt8, SocketAddress, UInt16) -> Void
        package var round: () -> Void
        package var writable: () -> Void
        package var tooLarge: (SocketAddress) -> Void
    }

    package func attach(_ receiver: Receiver) {
        self.receiver = receiver
        for socket in [socket4, socket6].compactMap({ $0 }) { attachReceiver(to: socket, 0) }
        for (number, socket) in others { attachReceiver(to: socket, number) }
    }

    private func attachReceiver(to socket: DatagramSocket, _ number: UInt16) {
        guard let receiver else { return }
        socket.onMessage = { receiver.message($0, $1, $2, $3, number) }
        socket.onRound = receiver.round
        socket.onWritable = receiver.writable
        socket.onTooLarge = receiver.tooLarge
        socket.onUnreachable = { remote, reason in
            if reason.isMessageTooLarge { receiver.tooLarge(remote) }
        }
    }

    /// Sends trains from `first` on; tells the first that the kernel did not take now.
    package func send(_ trains: UnsafeBufferPointer<Train>, from first: Int, in memory: UnsafeMutableRawPointer) -> Int
    {
        var next = first
        while next < trains.count {
            let isIPv4 = trains[next].remote.ip.isIPv4, number = trains[next].socket
            if number >= PathAddress.tcpOut || number != 0 && hand != nil {
                sendSingly(trains[next], in: memory)
                next += 1
                continue
            }
            var end = next + 1
            while end < trains.count, trains[end].remote.ip.isIPv4 == isIPv4, trains[end].socket == number { end += 1 }
            if let socket = number != 0 ? others[number] : isIPv4 ? socket4 : socket6 {
                next = socket.send(UnsafeBufferPointer(rebasing: trains[..<end]), from: next, in: memory)
                if next < end { return next }
            } else {
                unroutable += end - next
                next = end
            }
        }
        return next
    }

    package var counters: [(name: String, count: Int)] {
        var received: UInt64 = 0, truncated: UInt64 = 0, dropped: UInt64 = 0, failed: UInt64 = 0
        var tooLarge: UInt64 = 0
        for socket in [socket4, socket6].compactMap({ $0 }) {
            received += socket.counters.datagramsReceived
            truncated += socket.counters.truncated
            dropped += socket.counters.backlogDropped
            failed += socket.counters.sendErrors.values.reduce(0, +)
            tooLarge += socket.counters.trainsTooLarge
        }
        let now = [
            ("socket.received", Int(received)), ("dropped.oversized", Int(truncated)),
            ("socket.backlogDropped", Int(dropped)), ("socket.sendErrors", Int(failed)),
            ("socket.trainsTooLarge", Int(tooLarge)), ("socket.unroutable", unroutable),
        ]
        let own = past.isEmpty ? now : zip(now, past).map { ($0.0, $0.1 + $1.count) }
        return own + (streams?.counters ?? [])
    }

    package func close() {
        close(Array(others.keys))
        (receiver, openOther, openPair, hand) = (nil, nil, nil, nil)
        streams?.close()
        streams = nil
        socket4?.close()
        socket6?.close()
    }
}
