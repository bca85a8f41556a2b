import EventLoop

/// The descriptors of a UDP port in transit to another thread. Their owner makes a port of them, or closes them.
package struct PortDescriptors: Sendable {
    private var four: Int32?
    private var six: Int32?

    private init() {}

    package func close() { for number in [four, six] { if let number { _ = FileDescriptor(owning: number) } } }

    /// The descriptors, for a caller that closes them.
    func take() -> (four: Int32?, six: Int32?) { (four, six) }

    /// Two for each pair of threads: for the one that sends, then for the one that receives. The first pair gets the original
    /// sockets, each further one a sibling at the same address, and the kernel gives each sender's datagrams to one of them.
    static func shares(of port: UDPPort.Sockets, pairs: Int) throws(Errno) -> [PortDescriptors] {
        // If a step fails, all earlier descriptors must be closed, so each one is stored at once.
        var all: [PortDescriptors] = []
        do throws(Errno) {
            for pair in 0..<pairs {
                all.append(PortDescriptors())
                all[pair * 2].four = try share(port.four, pair)
                all[pair * 2].six = try share(port.six, pair)
                all.append(PortDescriptors())
                all[pair * 2 + 1].four = try copy(all[pair * 2].four)
                all[pair * 2 + 1].six = try copy(all[pair * 2].six)
            }
        } catch {
            for each in all { each.close() }
            throw error
        }
        return all
    }

    private static func share(_ socket: DatagramSocket?, _ pair: Int) throws(Errno) -> Int32? {
        try (pair == 0 ? socket?.duplicate() : socket?.sibling())?.release()
    }

    private static func copy(_ number: Int32?) throws(Errno) -> Int32? {
        guard let number else { return nil }
        let original = FileDescriptor(owning: number)
        let copy = Result { () throws(Errno) in try original.duplicate().release() }
        _ = original.release()
        return try copy.get()
    }
}
