package import Base
import CLibuv
import CLinux
import Glibc

/// # Datagrams by the batch
///
/// A UDP socket whose unit is the `DatagramBatch`. What one call of recvmmsg(2) returned goes to `onReceive` as one batch. A
/// batch to send goes out by as few sendmmsg(2) calls as the kernel allows. libuv only polls the descriptor.
///
/// * **Fairness**: a wake receives at most `roundsPerWake` batches; the rest waits for the loop's next turn.
/// * **Back-pressure**: what the kernel does not accept (EAGAIN) waits in order in a backlog of `backlogBytes`, and is sent
///   when the socket is writable. What does not fit into the backlog is dropped and counted.
/// * **Errors are about datagrams**: EMSGSIZE, ENETUNREACH and similar errors are counted by reason, the datagram is dropped,
///   and the rest of the batch goes on. ICMP errors come later, through the socket's error queue (ip(7), IP_RECVERR). They
///   are counted separately and reported to `onUnreachable` with the address that they concern. The kernel also reports an
///   ICMP error by failing the next send, whatever its destination. Therefore a datagram that fails is tried once more before
///   it counts as failed.
/// * An IPv6 socket handles IPv6 only; a user of both families opens two sockets. A whole UDP datagram always fits; where
///   `maximumDatagram` is set lower, longer ones are dropped and counted as truncated.
package final class DatagramSocket: Source {
    package struct Options: Sendable {
        /// Bytes requested for SO_RCVBUF and SO_SNDBUF; nil keeps the system's default. See `receiveBuffer` for the result.
        package var receiveBuffer: Int?
        package var sendBuffer: Int?
        /// UDP's length field allows 65,527 bytes of payload.
        package var maximumDatagram = 65_536
        package var roundsPerWake = 4
        package var backlogBytes = 4 << 20
        /// Sets DF and ignores what the kernel believes of the path (IP_PMTUDISC_PROBE), for those who measure the MTU.
        package var probesPathMTU = false
        /// Lets the kernel join datagrams of one sender (UDP_GRO), for an owner that accepts whole messages; see `onMessage`.
        package var joinsDatagrams = false

        package init() {}
    }

    package struct Counters: Sendable {
        package var datagramsReceived: UInt64 = 0
        package var bytesReceived: UInt64 = 0
        /// Longer than `maximumDatagram`, dropped.
        package var truncated: UInt64 = 0
        package var datagramsSent: UInt64 = 0
        package var bytesSent: UInt64 = 0
        /// Times that the kernel's buffer was full.
        package var blocked: UInt64 = 0
        /// Trains that were too large for the path.
        package var trainsTooLarge: UInt64 = 0
        /// Datagrams that the backlog had no room for.
        package var backlogDropped: UInt64 = 0
        /// Datagrams that could not be sent, by reason.
        package var sendErrors: [Errno: UInt64] = [:]
        /// Errors of receiving, by reason.
        package var receiveErrors: [Errno: UInt64] = [:]
        /// ICMP errors about datagrams that were sent, by reason.
        package var unreachable: [Errno: UInt64] = [:]
    }

    package private(set) var counters = Counters()
    /// Called once for each ICMP error that came back, with the datagram's destination.
    package var onUnreachable: ((SocketAddress, Errno) -> Void)?

    /// Where `joinsDatagrams` is set: gets each message as it came, to be changed in place: its bytes, how long each
    /// datagram in it is, the two ECN bits, and the sender. `onRound` ends each call of recvmmsg(2); the memory is used
    /// again after it.
    package var onMessage: ((UnsafeMutableRawBufferPointer, Int, UInt8, SocketAddress) -> Void)?
    package var onRound: (() -> Void)?
    /// Called when trains that the kernel did not accept may be sent again.
    package var onWritable: (() -> Void)?
    /// A train was larger than the path to that address carries.
    package var onTooLarge: ((SocketAddress) -> Void)?
    /// The kernel cuts trains. Known once one was sent.
    package private(set) var cutsTrains = true

    private let options: Options
    private let trainMessages = TrainMessages()
    /// Datagrams of the current train that were sent singly.
    private var singlesSent = 0
    private var awaitsWritable = false
    private var onReceive: ((inout DatagramBatch) -> Void)?
    private let slots: ReceiveSlots
    private let messages = SendMessages()
    private var received = DatagramBatch()
    private var backlog = DatagramBatch(capacity: 2048)
    /// Datagrams at the front of the backlog that are already sent.
    private var backlogSent = 0
    private let isConnected: Bool
    private var isPaused = false

    /// Opens a socket and binds it; port 0 lets the kernel choose. `onReceive` may remove anything from the batch;
    /// the batch is emptied afterwards.
    package convenience init(
        on loop: Loop, _ description: String, bind address: SocketAddress, options: Options = Options(),
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        let socket = try FileDescriptor.socket(address.family, .datagram)
        try DatagramSocket.configure(socket, address.family, options)
        try socket.bind(address)
        try self.init(
            on: loop, description, adopting: socket, isConnected: false, options: options, onReceive: onReceive)
    }

    /// Takes over a datagram socket. A connected socket ignores the addresses in batches to send.
    package init(
        on loop: Loop, _ description: String, adopting socket: consuming FileDescriptor, isConnected: Bool,
        options: Options = Options(), onReceive: @escaping (inout DatagramBatch) -> Void
    ) throws(Errno) {
        self.options = options
        self.onReceive = onReceive
        self.isConnected = isConnected
        slots = loop.receiveSlots(of: options.maximumDatagram)
        let number = socket.raw
        try super.init(on: loop, description, as: uv_poll_t.self) { uv_poll_init($0, $1, number) }
        descriptor = consume socket
        poll()
    }

    /// Another descriptor of this socket, for a `DatagramSocket` of another loop: a received datagram goes to the one that
    /// reads first, and either may send.
    package func duplicate() throws(Errno) -> FileDescriptor {
        guard isOpen, let copy = try descriptor?.duplicate() else { throw Errno(EBADF) }
        return copy
    }

    /// Another socket at this one's address (SO_REUSEPORT): the kernel gives each sender's datagrams to one of them. The port
    /// becomes shared only now. So binding this socket still detects another process that has the port.
    package func sibling() throws(Errno) -> FileDescriptor {
        guard isOpen, let address = localAddress else { throw Errno(EBADF) }
        try descriptor?.set(Int(SOL_SOCKET), SO_REUSEPORT, to: 1)
        let socket = try FileDescriptor.socket(address.family, .datagram)
        try DatagramSocket.configure(socket, address.family, options)
        try socket.set(Int(SOL_SOCKET), SO_REUSEPORT, to: 1)
        try socket.bind(address)
        return socket
    }

    /// The address the socket is bound to; nil once it is closed.
    package var localAddress: SocketAddress? {
        guard let number else { return nil }
        return try? address("getsockname") { getsockname(number, $0, $1) }
    }

    /// The kernel's buffers in bytes, as it accounts them (twice the requested size, socket(7)).
    package var receiveBuffer: Int { buffer(SO_RCVBUF) }
    package var sendBuffer: Int { buffer(SO_SNDBUF) }

    /// Datagrams in the backlog.
    package var backlogCount: Int { backlog.count - backlogSent }

    /// Stops and resumes receiving; what comes meanwhile fills the kernel's buffer.
    package func pauseReceiving() {
        isPaused = true
        poll()
    }
    package func resumeReceiving() {
        isPaused = false
        poll()
    }

    /// Sends the whole batch: as much as the kernel accepts now, and the rest later. The batch may be reused at once.
    package func send(_ batch: inout DatagramBatch) {
        loop.preconditionOnLoop()
        guard isOpen, !batch.isEmpty else { return }
        // The backlog keeps its order.
        let sent = backlogCount > 0 ? 0 : transmit(&batch, from: 0)
        guard sent < batch.count else { return }
        keep(&batch, from: sent)
        poll()
    }

    override func didClose() {
        onReceive = nil
        onUnreachable = nil
        (onMessage, onRound, onWritable, onTooLarge) = (nil, nil, nil, nil)
        backlog.removeAll()
        backlogSent = 0
    }

    private var number: Int32? { if isOpen { descriptor?.raw } else { nil } }

    private func buffer(_ option: Int32) -> Int {
        guard isOpen, let value = try? descriptor?.get(Int(SOL_SOCKET), option) else { return 0 }
        return Int(value)
    }
}

// Opening and polling

extension DatagramSocket {
    private static func configure(_ socket: borrowing FileDescriptor, _ family: Int32, _ options: Options) throws(Errno)
    {
        // The FORCE kinds exceed net.core.rmem_max and need CAP_NET_ADMIN; without it the plain ones give what is allowed.
        for (value, force, plain) in [
            (options.receiveBuffer, SO_RCVBUFFORCE, SO_RCVBUF), (options.sendBuffer, SO_SNDBUFFORCE, SO_SNDBUF),
        ] {
            guard let value = value.map(Int32.init(clamping:)) else { continue }
            do throws(Errno) { try socket.set(Int(SOL_SOCKET), force, to: value) } catch {
                try socket.set(Int(SOL_SOCKET), plain, to: value)
            }
        }
        if options.joinsDatagrams {
            // Since Linux 5.0. Without it each datagram is a message.
            try? socket.set(Int(DatagramOffload.level), DatagramOffload.gro, to: 1)
            try? socket.set(
                family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP, family == AF_INET6 ? IPV6_RECVTCLASS : IP_RECVTOS, to: 1
            )
        }
        if family == AF_INET6 {
            try socket.set(IPPROTO_IPV6, IPV6_V6ONLY, to: 1)
            try socket.set(IPPROTO_IPV6, IPV6_RECVERR, to: 1)
            if options.probesPathMTU {
                try socket.set(IPPROTO_IPV6, IPV6_MTU_DISCOVER, to: IPV6_PMTUDISC_PROBE)
            }
        } else {
            try socket.set(IPPROTO_IP, IP_RECVERR, to: 1)
            if options.probesPathMTU {
                try socket.set(IPPROTO_IP, IP_MTU_DISCOVER, to: IP_PMTUDISC_PROBE)
            }
        }
    }

    private func poll() {
        guard let poll = raw(uv_poll_t.self) else { return }
        var events = Int32(isPaused ? 0 : UV_READABLE.rawValue)
        if backlogCount > 0 || awaitsWritable { events |= Int32(UV_WRITABLE.rawValue) }
        if events == 0 {
            uv_poll_stop(poll)
            return
        }
        let status = uv_poll_start(poll, events) { handle, status, events in
            DatagramSocket.of(handle)?.ready(status < 0 ? nil : Poll.Events(rawValue: events))
        }
        precondition(status == 0, "uv_poll_start: \(Errno(uv: status))")
    }

    /// `events` is nil on POLLERR, which libuv answers by stopping: something lies in the error queue.
    private func ready(_ events: Poll.Events?) {
        if events == nil { drainErrors() }
        if events?.contains(.writable) ?? true {
            if backlogCount > 0 { flush() }
            if awaitsWritable {
                awaitsWritable = false
                poll()
                onWritable?()
            }
        }
        if !isPaused, events?.contains(.readable) ?? true { receive() }
        if events == nil { poll() }
    }

    private func drainErrors() {
        // At most as many as a wake receives datagrams; a flood of ICMP must not block the loop.
        for _ in 0..<ReceiveSlots.count * options.roundsPerWake {
            guard let number else { return }
            var error = asterism_socket_error(), storage = sockaddr_storage()
            guard asterism_next_socket_error(number, &error, &storage) == 1 else { return }
            // What this kernel refused to send has failed its send, and is counted there.
            guard error.remote != 0, let destination = SocketAddress(storage) else { continue }
            counters.unreachable[Errno(error.error), default: 0] += 1
            onUnreachable?(destination, Errno(error.error))
        }
    }
}

// Receiving

extension DatagramSocket {
    private func receive() {
        for _ in 0..<options.roundsPerWake {
            guard let number, let onReceive, !isPaused else { return }
            let count: Int
            do throws(Errno) { count = try slots.receive(number, limit: options.maximumDatagram) } catch {
                // An ICMP error may be reported here as well; no datagram is lost by it, and the next wake goes on.
                if error.code != EAGAIN { counters.receiveErrors[error, default: 0] += 1 }
                return
            }
            if onMessage != nil {
                for index in 0..<count { takeWhole(index) }
                onRound?()
            } else {
                for index in 0..<count { take(index) }
                if !received.isEmpty { onReceive(&received) }
                received.removeAll()
            }
            if count < ReceiveSlots.count { return }
        }
    }

    private func takeWhole(_ index: Int) {
        let bytes = slots.memory(index)
        guard let remote = slots.remote(index), !bytes.isEmpty else { return }
        let (segment, trafficClass) = slots.notes(index)
        let size = segment > 0 ? segment : bytes.count
        if slots.datagram(index).isTruncated {
            counters.truncated += 1
            return
        }
        counters.datagramsReceived += UInt64((bytes.count + size - 1) / size)
        counters.bytesReceived += UInt64(bytes.count)
        onMessage?(bytes, size, trafficClass & 3, remote)
    }

    private func take(_ index: Int) {
        let (bytes, isTruncated) = slots.datagram(index)
        if isTruncated {
            counters.truncated += 1
            return
        }
        counters.datagramsReceived += 1
        counters.bytesReceived += UInt64(bytes.count)
        // A unix socket has no such address, and only a connected socket can be one.
        let remote = slots.remote(index) ?? SocketAddress(.any4, 0)
        received.append(reserving: bytes.count, remote: remote) { memory in
            memory.copyMemory(from: bytes)
            return bytes.count
        }
    }
}

// Sending

extension DatagramSocket {
    /// Sends from `first` on until all is sent or the kernel's buffer is full; returns where it stopped.
    private func transmit(_ batch: inout DatagramBatch, from first: Int) -> Int {
        guard let number else { return batch.count }
        var next = first, isSecondTry = false
        while next < batch.count {
            do throws(Errno) {
                let sent = try messages.send(number, &batch, from: next, toRemotes: !isConnected)
                for index in next..<next + sent { counters.bytesSent += UInt64(batch.entries[index].count) }
                counters.datagramsSent += UInt64(sent)
                next += sent
                isSecondTry = false
            } catch {
                if error.code == EAGAIN {
                    counters.blocked += 1
                    return next
                }
                if isSecondTry {
                    counters.sendErrors[error, default: 0] += 1
                    next += 1
                }
                isSecondTry.toggle()
            }
        }
        return next
    }

    /// Sends trains that lie in `memory`, from `first` on. Returns the first that the kernel did not accept now; then
    /// `onWritable` is called when sending is possible again. A train that cannot be sent at all is counted and skipped.
    package func send(
        _ trains: UnsafeBufferPointer<Train>, from first: Int, in memory: UnsafeMutableRawPointer
    ) -> Int {
        guard let number else { return trains.count }
        var next = first, isSecondTry = false
        while next < trains.count {
            do throws(Errno) {
                if cutsTrains || trains[next].datagrams == 1 {
                    let sent = try trainMessages.send(number, trains, from: next, in: memory)
                    for index in next..<next + sent { count(trains[index]) }
                    next += sent
                } else {
                    let train = trains[next]
                    singlesSent += try trainMessages.sendSingly(number, train, skipping: singlesSent, in: memory)
                    if singlesSent < train.datagrams { continue }
                    count(train)
                    singlesSent = 0
                    next += 1
                }
                isSecondTry = false
            } catch {
                if error.code == EAGAIN || error.code == ENOBUFS {
                    counters.blocked += 1
                    awaitsWritable = true
                    poll()
                    return next
                }
                if refused(trains[next], error, isSecondTry) {
                    next += 1
                    singlesSent = 0
                    isSecondTry = false
                } else {
                    isSecondTry = true
                }
            }
        }
        return next
    }

    private func count(_ train: Train) {
        counters.bytesSent += UInt64(train.count)
        counters.datagramsSent += UInt64(train.datagrams)
    }

    /// Returns whether a train that the kernel refused is given up.
    private func refused(_ train: Train, _ reason: Errno, _ isSecondTry: Bool) -> Bool {
        let headers = train.remote.ip.isIPv4 ? 28 : 48
        if reason.code == EMSGSIZE || reason.code == EINVAL,
            let mtu = pathMTU(to: train.remote), train.segment + headers > mtu
        {
            counters.trainsTooLarge += 1
            onTooLarge?(train.remote)
            return true
        }
        // EIO: a device on the way cannot complete checksums, without which nothing is cut; EINVAL: nor can the kernel.
        if train.datagrams > 1, cutsTrains, reason.code == EIO || reason.code == EINVAL || reason.code == ENOPROTOOPT {
            cutsTrains = false
            return false
        }
        // An ICMP error for an earlier datagram may be reported here. Nothing is lost by it, and the next attempt succeeds.
        guard isSecondTry else { return false }
        counters.sendErrors[reason, default: 0] += 1
        return true
    }

    private func flush() {
        backlogSent = transmit(&backlog, from: backlogSent)
        if backlogSent == backlog.count {
            backlog.removeAll()
            backlogSent = 0
            poll()
        }
    }

    private func keep(_ batch: inout DatagramBatch, from first: Int) {
        for index in first..<batch.count {
            let entry = batch.entries[index]
            if backlog.byteCount + entry.count > options.backlogBytes { compact() }
            if backlog.byteCount + entry.count > options.backlogBytes {
                counters.backlogDropped += 1
                continue
            }
            batch.withBytes(at: index) { bytes in
                backlog.append(reserving: bytes.count, remote: entry.remote) { memory in
                    memory.copyMemory(from: UnsafeRawBufferPointer(bytes))
                    return bytes.count
                }
            }
        }
    }

    /// Drops sent datagrams from the front once they are half of all, so that copying stays proportional to sending.
    private func compact() {
        guard backlogSent > 0, backlogSent >= backlog.count / 2 else { return }
        var rest = DatagramBatch(capacity: 2048)
        for index in backlogSent..<backlog.count {
            let remote = backlog.entries[index].remote
            backlog.withBytes(at: index) { rest.append(UnsafeRawBufferPointer($0), remote: remote) }
        }
        backlog = rest
        backlogSent = 0
    }
}
