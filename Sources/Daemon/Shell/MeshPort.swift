package import Base
package import EventLoop

/// A node's UDP port: one socket for each family that it listens on, under one roof.
package final class MeshPort {
    private var socket4: DatagramSocket?
    private var socket6: DatagramSocket?
    private var batch6 = DatagramBatch()
    /// Datagrams to a family that this node does not listen on.
    package private(set) var unroutable = 0

    /// Binds `address`; `[::]` means both families, on one port.
    package init(
        on loop: Loop, bind address: SocketAddress, onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        var options = DatagramSocket.Options()
        options.receiveBuffer = 4 << 20
        options.sendBuffer = 4 << 20
        if address.ip.isIPv4 {
            socket4 = try DatagramSocket(
                on: loop, "mesh (IPv4)", bind: address, options: options, onReceive: onReceive)
            return
        }
        let six = try DatagramSocket(on: loop, "mesh (IPv6)", bind: address, options: options, onReceive: onReceive)
        socket6 = six
        if address.ip.isUnspecified {
            let port = six.localAddress?.port ?? address.port
            socket4 = try DatagramSocket(
                on: loop, "mesh (IPv4)", bind: SocketAddress(.any4, port), options: options, onReceive: onReceive)
        }
    }

    package var localAddress: SocketAddress? { socket6?.localAddress ?? socket4?.localAddress }

    /// Sends what is in `batch` and empties it.
    package func send(_ batch: inout DatagramBatch) {
        guard !batch.isEmpty else { return }
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

    package var counters: [(name: String, count: Int)] {
        var received: UInt64 = 0, truncated: UInt64 = 0, dropped: UInt64 = 0, failed: UInt64 = 0
        for socket in [socket4, socket6].compactMap({ $0 }) {
            received += socket.counters.datagramsReceived
            truncated += socket.counters.truncated
            dropped += socket.counters.backlogDropped
            failed += socket.counters.sendErrors.values.reduce(0, +)
        }
        return [
            ("socket.received", Int(received)), ("dropped.oversized", Int(truncated)),
            ("socket.backlogDropped", Int(dropped)), ("socket.sendErrors", Int(failed)),
            ("socket.unroutable", unroutable),
        ]
    }

    package func close() {
        socket4?.close()
        socket6?.close()
    }
}
