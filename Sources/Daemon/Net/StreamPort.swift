package import Base
package import EventLoop
import Mesh
import Wire

/// # Datagrams over TCP
///
/// For networks that block outgoing UDP: a node connects to a relay when it has a datagram for it, and sends there what it
/// would have sent by UDP, in the format of `DatagramFraming`. A relay accepts such connections. A datagram from one is like
/// any other, except for its origin.
///
/// A connection accepts only what the kernel can send soon. The rest waits in a `CoDelQueue`, so that a slow link drops
/// early, as UDP would, and does not make every round trip longer.
///
/// - A connection that this node made, and on which it has sent nothing for `idleAfter`, is closed. A connection that has
///   ended or failed is reported (`onLost`) and made again when there is something to send, with a delay after a failure.
/// - An incoming connection is closed if it carries nothing that deserves an answer within `greetingTimeout`, or nothing at
///   all for `silentAfter`.
package final class StreamPort {
    private struct Failure {
        private(set) var count: Int
        private(set) var until: Instant
    }

    private static let outgoingLimit = 16
    private static let incomingLimit = 4096

    private let loop: Loop
    private var listeners: [Listener] = []
    private var connections: [StreamConnection.Key: StreamConnection] = [:]
    private var failures: [SocketAddress: Failure] = [:]
    private var sweeper: Timer?
    private var batch = DatagramBatch()
    private let onReceive: (inout DatagramBatch) -> Void
    private let onLost: (SocketAddress) -> Void
    private var figures = (accepted: 0, made: 0, failed: 0, unauthenticated: 0, dropped: 0, full: 0, unroutable: 0)

    /// Listens at each of `addresses`; a node that only connects listens nowhere. `onLost`: a connection that this node had
    /// made, or was making, has ended.
    package init(
        on loop: Loop, listen addresses: [SocketAddress], onReceive: @escaping (inout DatagramBatch) -> Void,
        onLost: @escaping (SocketAddress) -> Void
    ) throws(Errno) {
        self.loop = loop
        self.onReceive = onReceive
        self.onLost = onLost
        for address in addresses {
            do throws(Errno) {
                let listener = try Listener(on: loop, "mesh (TCP)", tcp: address) { [weak self] in self?.accept($0) }
                listener.connectionLimit = StreamPort.incomingLimit
                listeners.append(listener)
            } catch {
                close()
                throw error
            }
        }
    }

    /// Where it listens.
    package var localAddresses: [SocketAddress] { listeners.compactMap(\.localAddress) }

    package func close() {
        for listener in listeners { listener.close() }
        for connection in connections.values { connection.close() }
        connections = [:]
        sweeper?.close()
        sweeper = nil
    }

    // MARK: - Connections

    private func accept(_ stream: ByteStream) {
        guard let remote = stream.remoteAddress else { return stream.close() }
        figures.accepted += 1
        add(StreamConnection(stream, to: remote, isOutgoing: false, on: loop))
    }

    private func connect(to remote: SocketAddress) -> StreamConnection? {
        if let failure = failures[remote], failure.until > loop.now { return nil }
        guard connections.count(where: { $0.key.isOutgoing }) < StreamPort.outgoingLimit else { return nil }
        do throws(Errno) {
            let stream = try ByteStream(on: loop, "mesh (TCP to \(remote))", to: .tcp(remote)) { [weak self] problem in
                guard let self else { return }
                guard problem == nil else { return self.failed(remote) }
                self.failures[remote] = nil
                self.figures.made += 1
            }
            let connection = StreamConnection(stream, to: remote, isOutgoing: true, on: loop)
            add(connection)
            return connection
        } catch {
            wait(for: remote)
            return nil
        }
    }

    private func add(_ connection: StreamConnection) {
        connections[connection.key]?.close()
        connections[connection.key] = connection
        connection.start(
            onRead: { [weak self, weak connection] bytes in
                guard let self, let connection else { return }
                self.received(bytes, connection)
            },
            onEnd: { [weak self, weak connection] in
                guard let self, let connection else { return }
                self.over(connection)
            })
        guard sweeper == nil else { return }
        sweeper = Timer(on: loop, "mesh (TCP)") { [weak self] in self?.sweep() }
        sweeper?.arm(every: .seconds(5))
    }

    private func failed(_ remote: SocketAddress) {
        figures.failed += 1
        connections[StreamConnection.Key(remote: remote, isOutgoing: true)] = nil
        wait(for: remote)
        onLost(remote)
    }

    /// Twice as long after each failure, from a quarter of a second up to ten.
    private func wait(for remote: SocketAddress) {
        let count = (failures[remote]?.count ?? 0) + 1
        let wait = min(Interval.milliseconds(125) * Int64(1 << min(count, 8)), .seconds(10))
        failures[remote] = Failure(count: count, until: loop.now + wait)
    }

    private func over(_ connection: StreamConnection) {
        let key = connection.key
        guard connections[key] === connection else { return }
        connections[key] = nil
        connection.close()
        figures.dropped += connection.figures.dropped
        figures.full += connection.figures.refused
        guard key.isOutgoing else { return }
        // A connection that ends at once counts as one that failed.
        if connection.age < .seconds(1) { wait(for: key.remote) }
        onLost(key.remote)
    }

    private func sweep() {
        let now = loop.now
        for connection in Array(connections.values) {
            guard let fault = connection.fault else { continue }
            switch fault {
            case .idle, .silent: break
            case .stuck: wait(for: connection.key.remote)
            case .anonymous: figures.unauthenticated += 1
            }
            over(connection)
        }
        failures = failures.filter { $0.value.until + .minutes(1) > now }
        guard connections.isEmpty else { return }
        sweeper?.close()
        sweeper = nil
    }

    // MARK: - In

    private func received(_ bytes: [UInt8], _ connection: StreamConnection) {
        let socket = connection.key.isOutgoing ? PathAddress.tcpOut : PathAddress.tcpIn
        var isOurs = true
        do throws(DatagramFraming.Fault) { try connection.receive(bytes, socket: socket, into: &batch) } catch {
            isOurs = false
        }
        if !batch.isEmpty {
            // Its consequences may call back here.
            var taken = DatagramBatch(capacity: 2048)
            swap(&taken, &batch)
            onReceive(&taken)
            taken.removeAll()
            if batch.isEmpty { swap(&taken, &batch) }
        }
        guard !isOurs else { return }
        figures.unauthenticated += 1
        over(connection)
    }

    // MARK: - Out

    /// Sends one datagram, or lets it wait, or drops it.
    package func send(_ datagram: UnsafeRawBufferPointer, to remote: SocketAddress, socket: UInt16) {
        let isOutgoing = socket == PathAddress.tcpOut
        guard datagram.count <= DatagramFraming.limit,
            let connection = connections[StreamConnection.Key(remote: remote, isOutgoing: isOutgoing)]
                ?? (isOutgoing ? connect(to: remote) : nil)
        else {
            figures.unroutable += 1
            return
        }
        connection.send(datagram)
    }

    package var counters: [(name: String, count: Int)] {
        let queues = connections.values.map(\.figures)
        return [
            ("tcp.connections", connections.count), ("tcp.accepted", figures.accepted), ("tcp.made", figures.made),
            ("tcp.failed", figures.failed), ("tcp.unauthenticated", figures.unauthenticated),
            ("tcp.waiting", queues.map(\.waiting).reduce(0, +)),
            ("tcp.dropped", queues.map(\.dropped).reduce(figures.dropped, +)),
            ("tcp.full", queues.map(\.refused).reduce(figures.full, +)), ("tcp.unroutable", figures.unroutable),
        ]
    }
}
