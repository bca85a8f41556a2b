package import Base
package import EventLoop
import Wire

/// # The node's access to the network
///
/// Everything that the mesh sends and receives passes here. A datagram names its socket by a number, and the number decides
/// how it is sent:
///
/// | number | goes by |
/// |---|---|
/// | 0 | the node's UDP port (`UDPPort`) |
/// | below `PathAddress.tcpOut` | a socket besides the port (`SocketPool`) |
/// | from `PathAddress.tcpOut` on | a TCP connection (`StreamPort`) |
///
/// On another thread (`init(on:adopting:)`) only the UDP port is there; datagrams for other sockets are handed to the thread
/// that has those.
package final class MeshPort {
    private let udp: UDPPort
    private let pool: SocketPool
    private var streams: StreamPort?
    private var receiver: PortReceiver?
    /// On another loop than the agent's: takes datagrams for sockets that only the agent's loop has.
    private var hand: ((inout DatagramBatch) -> Void)?
    /// Datagrams without a socket to send them, besides those that `udp` counts.
    private var unroutable = 0

    /// Binds `address`; `[::]` means both families, on one port. With `joinsDatagrams` the receiver of `attach` gets messages
    /// as they come, and `onReceive` gets nothing.
    package init(
        on loop: Loop, bind address: SocketAddress, joinsDatagrams: Bool = false,
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        let options = MeshPort.options(joinsDatagrams: joinsDatagrams)
        udp = try UDPPort(on: loop, bind: address, options: options, onReceive: onReceive)
        pool = SocketPool(on: loop, beside: address, options: options, onReceive: onReceive)
    }

    /// The port on another loop. One that does not receive still sends. Datagrams for sockets other than those that the node
    /// listens on are given to `hand`.
    package init(
        on loop: Loop, adopting descriptors: PortDescriptors, receives: Bool,
        hand: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        udp = try UDPPort(
            on: loop, adopting: descriptors, options: MeshPort.options(joinsDatagrams: true), receives: receives)
        pool = SocketPool()
        self.hand = hand
    }

    /// Sends over TCP as well, and accepts connections at `addresses`. `onLost` as with `StreamPort`.
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

    package func close() {
        pool.close()
        (receiver, hand) = (nil, nil)
        streams?.close()
        streams = nil
        udp.close()
    }

    private static func options(joinsDatagrams: Bool) -> DatagramSocket.Options {
        var options = DatagramSocket.Options()
        options.joinsDatagrams = joinsDatagrams
        options.receiveBuffer = 4 << 20
        options.sendBuffer = 4 << 20
        return options
    }

    // MARK: - Where it is

    package var localAddress: SocketAddress? { udp.localAddress }

    /// The port that a socket is bound to.
    package func localPort(of number: UInt16) -> UInt16? {
        number == 0 ? localAddress?.port : pool[number]?.localAddress?.port
    }

    /// Where it accepts connections.
    package var streamAddresses: [SocketAddress] { streams?.localAddresses ?? [] }

    /// Opens all UDP sockets again, as after a change of network, at that port or at one that the kernel chooses (0).
    /// The result is as of `shares`, for as many pairs. On an error nothing has changed.
    @discardableResult
    package func rebind(to number: UInt16, pairs: Int = 0) throws(Errno) -> [PortDescriptors] {
        let shares = try udp.rebind(to: number, pairs: pairs)
        pool.rebind()
        return shares
    }

    // MARK: - Other threads

    /// This port for so many pairs of threads; see `PortDescriptors.shares`.
    package func shares(pairs: Int) throws(Errno) -> [PortDescriptors] { try udp.shares(pairs: pairs) }

    /// Continues with the sockets of a port that was opened again. On an error it has no sockets.
    package func adopt(_ descriptors: PortDescriptors, on loop: Loop) throws(Errno) {
        try udp.adopt(descriptors, on: loop, options: MeshPort.options(joinsDatagrams: true))
    }

    /// Leaves receiving to others that have this port.
    package func stopReceiving() { udp.stopReceiving() }

    /// From now on messages go to `receiver`, whole.
    package func attach(_ receiver: PortReceiver) {
        self.receiver = receiver
        udp.attach(receiver)
        pool.attach(receiver)
    }

    // MARK: - Datagrams

    /// Sends what is in `batch` and empties it.
    package func send(_ batch: inout DatagramBatch) {
        guard batch.entries.contains(where: { $0.socket != 0 }) else { return udp.send(&batch) }
        var first = DatagramBatch(), one = DatagramBatch(capacity: 2048)
        for position in 0..<batch.count {
            let entry = batch.entries[position]
            if entry.socket == 0 {
                first.append(batch.bytes(at: position), remote: entry.remote)
            } else if entry.socket >= PathAddress.tcpOut {
                sendByStream(batch.bytes(at: position), entry.remote, entry.socket)
            } else if let socket = pool.opened(entry.socket), entry.remote.ip.isIPv4 {
                one.append(batch.bytes(at: position), remote: entry.remote)
                socket.send(&one)
                one.removeAll()
            } else {
                unroutable += 1
            }
        }
        batch.removeAll()
        udp.send(&first)
    }

    private func sendByStream(_ bytes: [UInt8], _ remote: SocketAddress, _ socket: UInt16) {
        guard let streams else {
            unroutable += 1
            return
        }
        bytes.withUnsafeBytes { streams.send($0, to: remote, socket: socket) }
    }

    /// Closes sockets besides the port.
    package func close(_ numbers: [UInt16]) { pool.close(numbers) }

    // MARK: - Trains

    /// Sends trains from `first` on; returns the first that the kernel did not accept now.
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
            if let socket = number != 0 ? pool[number] : udp.socket(isIPv4: isIPv4) {
                next = socket.send(UnsafeBufferPointer(rebasing: trains[..<end]), from: next, in: memory)
                if next < end { return next }
            } else {
                unroutable += end - next
                next = end
            }
        }
        return next
    }

    /// Sends each datagram separately: neither a connection nor another thread can use trains.
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

    package var counters: [(name: String, count: Int)] {
        udp.counters + [("socket.unroutable", udp.unroutable + unroutable)] + (streams?.counters ?? [])
    }
}
