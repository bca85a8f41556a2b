import Base
import EventLoop

/// IPv4 sockets besides the node's port, by their numbers, each with a NAT mapping of its own. A socket is opened when the
/// first datagram is to be sent by it. A socket that cannot be opened is only a lost chance, so it is not reported.
final class SocketPool {
    private var sockets: [UInt16: DatagramSocket] = [:]
    private var receiver: PortReceiver?
    private var open: ((UInt16) throws(Errno) -> DatagramSocket)?

    /// Where the port is bound to one address, these are bound to it as well.
    init(
        on loop: Loop, beside port: SocketAddress, options: DatagramSocket.Options,
        onReceive: @escaping (inout DatagramBatch) -> Void
    ) {
        let place = SocketAddress(port.ip.isIPv4 ? port.ip : .any4, 0)
        open = { number throws(Errno) in
            try DatagramSocket(on: loop, "mesh (socket \(number))", bind: place, options: options) { batch in
                for index in batch.entries.indices { batch.setSocket(number, at: index) }
                onReceive(&batch)
            }
        }
    }

    /// A pool that opens nothing.
    init() {}

    func close() {
        close(Array(sockets.keys))
        (receiver, open) = (nil, nil)
    }

    func close(_ numbers: [UInt16]) {
        for number in numbers { sockets.removeValue(forKey: number)?.close() }
    }

    func attach(_ receiver: PortReceiver) {
        self.receiver = receiver
        for (number, socket) in sockets { socket.attach(receiver, number) }
    }

    /// Opens all that are open again, each at another port.
    func rebind() {
        for number in Array(sockets.keys) {
            sockets[number]?.close()
            sockets[number] = make(number)
        }
    }

    /// The socket if it is open.
    subscript(number: UInt16) -> DatagramSocket? { sockets[number] }

    /// The socket, which is opened if it is not open.
    func opened(_ number: UInt16) -> DatagramSocket? {
        if let socket = sockets[number] { return socket }
        let socket = make(number)
        sockets[number] = socket
        return socket
    }

    private func make(_ number: UInt16) -> DatagramSocket? {
        let socket = try? open?(number)
        if let receiver { socket?.attach(receiver, number) }
        return socket
    }
}
