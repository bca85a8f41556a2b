import Base

/// # TCP connections between machines
///
/// The properties of TCP that affect a datagram in it. A connection needs one round trip, can be made only from the inside of
/// gateways, whatever they do to UDP, and delivers everything in order. Lost data arrives some time later, and all that
/// follows waits for it. The connection ends when a gateway loses its state, an address changes or a process dies.
struct TCPLinks {
    struct Link {
        var client: Int
        var server: Int
        /// As the server sees the client.
        var from: SocketAddress
        /// As the client knows the server.
        var to: SocketAddress
        var openAt: Instant
        /// When the newest datagram of each direction arrives.
        var lastUp = Instant.origin
        var lastDown = Instant.origin
    }

    /// The one port at which machines accept connections.
    static let port: UInt16 = 443
    /// How late lost data arrives by retransmission; also the maximum of any other delay.
    static let repair = Interval.milliseconds(250)

    private var links: [Link] = []
    private var nextPort: UInt16 = 20_000

    func index(client: Int, to remote: SocketAddress) -> Int? {
        links.firstIndex { $0.client == client && $0.to == remote }
    }
    func index(server: Int, from remote: SocketAddress) -> Int? {
        links.firstIndex { $0.server == server && $0.from == remote }
    }
    subscript(index: Int) -> Link { links[index] }

    mutating func open(
        client: Int, at outside: IPAddress, server: Int, to remote: SocketAddress, openAt: Instant
    ) -> Int {
        nextPort = nextPort == .max ? 20_000 : nextPort + 1
        links.append(
            Link(
                client: client, server: server, from: SocketAddress(outside, nextPort), to: remote, openAt: openAt))
        return links.count - 1
    }

    /// When data with this delay arrives: after all earlier data.
    mutating func arrival(_ index: Int, isUp: Bool, at time: Instant) -> Instant {
        if isUp {
            links[index].lastUp = max(links[index].lastUp, time)
            return links[index].lastUp
        }
        links[index].lastDown = max(links[index].lastDown, time)
        return links[index].lastDown
    }

    /// Ends connections and returns them.
    mutating func end(where isOver: (Link) -> Bool) -> [Link] {
        let over = links.filter(isOver)
        links.removeAll(where: isOver)
        return over
    }
}
