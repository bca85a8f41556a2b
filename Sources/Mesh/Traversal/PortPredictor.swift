import Base
import Wire

/// # Port prediction
///
/// If one end's NAT gives each destination another port (endpoint-dependent mapping), the other end cannot know where to
/// send. If the other end's filter lets in only known ports, waiting does not help either. Then ports are predicted. The end
/// with the endpoint-dependent mapping, the *opener*, sends from many sockets to the other end's one address, so that many of
/// its NAT's ports lead to it. The other, the *prober*, sends to many ports of the opener's address. As in the birthday
/// problem, one of `n` probes hits one of `m` mappings among 64,512 ports with a chance of about 1 - (1 - m / 64512)^n: for
/// 256 sockets 98.3 % after 1024 probes, and 99.97 % after 2048. With NATs that allocate ports in sequence, the first few
/// dozen probes succeed, which go to the ports after the last one seen.
///
/// The cost is 256 sockets and as many entries in the opener's NAT for six seconds, and 500 datagrams per second from each
/// end for four seconds. So it is done only after all else has failed, with one peer at a time, and not again with the same
/// peer for ten minutes (tailscale#5389 reports the effect on routers without such limits).
struct PortPredictor {
    enum Role: Hashable {
        /// Sends from sockets `first` to `first + sockets - 1` to addresses of the peer.
        case opener([SocketAddress], firstSocket: UInt16)
        /// Sends to ports of an address of the peer, those after `seen` first.
        case prober(IPAddress, seen: [UInt16])
    }

    static let sockets: UInt16 = 256
    static let probes = 2048
    /// From each end.
    static let perSecond: Int64 = 500
    /// Ports after the last one seen that are tried first.
    static let near: UInt16 = 64
    /// How long after the first probes it begins; the opener a little earlier than the prober, so that there is something to
    /// find.
    static let openerAfter = Interval.milliseconds(600)
    static let proberAfter = Interval.milliseconds(900)
    /// Added where neither end's mapping is endpoint-dependent: plain probes should be enough, and get more time.
    static let plainAfter = Interval.milliseconds(1500)
    static let length = Interval.seconds(6)
    static let coolDown = Interval.minutes(10)
    private static let ports: UInt64 = 64_512

    let role: Role
    let startedAt: Instant
    private(set) var sent = 0
    /// The offset of the sequence over all ports: port = offset + step * n, each once.
    private let offset: UInt64
    private let step: UInt64

    init(_ role: Role, now: Instant, random: inout Random) {
        self.role = role
        startedAt = now
        offset = random.next(below: PortPredictor.ports)
        // 64,512 is 2^10 * 3^2 * 7: a step without these factors reaches all ports.
        var step = random.next(below: PortPredictor.ports) | 1
        while step % 3 == 0 || step % 7 == 0 { step += 2 }
        self.step = step
    }

    /// Twice over all sockets, in case one datagram in three is lost; or all probes.
    private var limit: Int {
        switch role {
        case .opener(let addresses, _): Int(PortPredictor.sockets) * addresses.count * 2
        case .prober: PortPredictor.probes
        }
    }

    func isOver(_ now: Instant) -> Bool { now - startedAt >= PortPredictor.length }

    /// When there is something to send, or it is over.
    var deadline: Instant {
        guard sent < limit else { return startedAt + PortPredictor.length }
        return startedAt + Interval(nanoseconds: Int64(sent + 5) * 1_000_000_000 / PortPredictor.perSecond)
    }

    /// The destinations of datagrams that are due now.
    mutating func due(_ now: Instant) -> [PathAddress] {
        let earned = (now - startedAt).nanoseconds * PortPredictor.perSecond / 1_000_000_000
        // A late call does not send all missed probes in one burst.
        let count = min(Int(earned) - sent, limit - sent, 50)
        guard count > 0 else { return [] }
        defer { sent += count }
        return (sent..<sent + count).map { target($0) }
    }

    private func target(_ index: Int) -> PathAddress {
        switch role {
        case .opener(let addresses, let first):
            let address = addresses[index / Int(PortPredictor.sockets) % addresses.count]
            return PathAddress(address, socket: first + UInt16(index % Int(PortPredictor.sockets)))
        case .prober(let ip, let seen):
            let near = seen.count * Int(PortPredictor.near)
            if index < near {
                return PathAddress(SocketAddress(ip, seen[index % seen.count] &+ UInt16(index / seen.count + 1)))
            }
            let number = (offset + step * UInt64(index - near)) % PortPredictor.ports
            return PathAddress(SocketAddress(ip, UInt16(1024 + number)))
        }
    }

    /// The opener's sockets.
    var socketNumbers: ClosedRange<UInt16>? {
        guard case .opener(_, let first) = role else { return nil }
        return first...first + PortPredictor.sockets - 1
    }
}
