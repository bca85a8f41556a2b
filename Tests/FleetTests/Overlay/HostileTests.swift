import Base
import Control
import Foundation
import Testing

/// Unauthenticated peers at the port.
extension OverlayTests {
    @Test func `garbage and replayed datagrams have no effect`() throws {
        try Self.underLoad { overlay in
            let tape = try Tape(in: overlay.b.namespace)
            let datagrams = try tape.take(200)
            #expect(datagrams.count == 200)
            let unknownPeer = try Socket.datagram(in: overlay.a.namespace, to: overlay.b.address, Overlay.Node.port)
            let forger = try Forger(in: overlay.a.namespace)
            for round in 0..<20 {
                for datagram in datagrams {
                    // From elsewhere, and from where it came from.
                    _ = unknownPeer.send(Array(datagram.payload))
                    forger.send(datagram.packet, to: overlay.b.address)
                }
                for size in 0..<100 {
                    var junk = (0..<size * 14).map { _ in UInt8.random(in: 0...255) }
                    // A packet of an unknown session.
                    if let kind = datagrams[0].payload.first, !junk.isEmpty, round % 2 == 0 { junk[0] = kind }
                    _ = unknownPeer.send(junk)
                }
                usleep(50_000)
            }
            let replayed = try overlay.b.counter("overlay.dropped.replayed")
            #expect(replayed > 0)
            // A replayed datagram does not move the session to its sender.
            #expect(try overlay.b.counter("pathSwitches.moved") == 0)
            return "garbage, and \(replayed) replayed datagrams refused"
        }
    }

    /// Datagrams in a second. Without a limit a thread of a fast machine fills the socket's queue, and the kernel drops good
    /// and bad alike before any program could distinguish them.
    private static let flood = 100_000.0

    @Test func `floods of garbage use less than their share, and stop no other traffic`() throws {
        try Self.underLoad { overlay in
            let real = try Tape(in: overlay.b.namespace).take(64).map { Array($0.payload) }
            let unknownPeer = try Socket.datagram(in: overlay.a.namespace, to: overlay.b.address, Overlay.Node.port)
            func received() throws -> (good: Int, refused: Int) {
                let counters = try overlay.b.status().counters
                return counters.reduce((0, 0)) { sum, counter in
                    counter.name == "overlay.bytesReceived"
                        ? (sum.0 + counter.count, sum.1)
                        : counter.name.hasPrefix("overlay.dropped.") ? (sum.0, sum.1 + counter.count) : sum
                }
            }
            func measure(_ seconds: Double, _ flood: [[UInt8]]) throws -> (good: Double, refused: Double) {
                let before = try received(), end = monotonicSeconds() + seconds
                if flood.isEmpty { usleep(UInt32(seconds * 1e6)) }
                let start = monotonicSeconds()
                var sent = 0.0
                while !flood.isEmpty, monotonicSeconds() < end {
                    for datagram in flood where !unknownPeer.send(datagram) {}
                    sent += Double(flood.count)
                    let ahead = start + sent / Self.flood - monotonicSeconds()
                    if ahead > 0 { usleep(UInt32(ahead * 1e6)) }
                }
                let after = try received()
                return (Double(after.good - before.good) / seconds, Double(after.refused - before.refused) / seconds)
            }
            let quiet = try measure(1, [])
            var lines = [String(format: "quiet %.0f MB/s", quiet.good / 1e6)]
            let floods: [(String, ([UInt8]) -> [UInt8])] = [
                ("replayed", { $0 }),
                ("unknown index", { Array($0[..<4]) + [0xff, 0xff, 0xff, 0xff] + $0[8...] }),
                // With a new counter, or the cipher would not be used.
                ("wrong tag", { Array($0[..<8]) + [0, 0, 1, 0, 0, 0, 0, 0] + $0[16...] }),
            ]
            for (name, change) in floods {
                let loud = try measure(1, real.map(change))
                #expect(loud.refused > 10_000, "\(name)")
                // The flood uses processor time of all processes here, including the sender of good packets.
                #expect(loud.good > quiet.good / 20, "\(name)")
                lines.append(String(format: "\(name) %.0f/s, good %.0f MB/s", loud.refused, loud.good / 1e6))
            }
            #expect(try overlay.b.counter("pathSwitches.moved") == 0)
            return lines.joined(separator: "; ")
        }
    }
}

/// Datagrams of the agents, as they pass a network card.
private struct Tape {
    struct Datagram {
        var packet: [UInt8]
        var payload: ArraySlice<UInt8> { packet[28...] }
    }
    private let descriptor: Int32

    init(in namespace: Namespace) throws {
        descriptor = try namespace.enter {
            // SOCK_DGRAM: from the IP header on. 0x0800 is IPv4.
            let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            return socket(AF_PACKET, kind, Int32(UInt16(0x0800).bigEndian))
        }
        guard descriptor >= 0 else { throw Fault.last("packet socket") }
    }

    func take(_ count: Int) throws -> [Datagram] {
        defer { close(descriptor) }
        var found: [Datagram] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let end = monotonicSeconds() + 10
        while found.count < count, monotonicSeconds() < end {
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 1000) > 0 else { continue }
            let length = recv(descriptor, &buffer, buffer.count, 0)
            // UDP to an agent. Trains, which pass a virtual card whole, are cut to their first datagram.
            guard length > 28, buffer[9] == 17, Int(buffer[22]) << 8 | Int(buffer[23]) == Int(Overlay.Node.port),
                buffer[19] == 2
            else { continue }
            found.append(Datagram(packet: Tape.first(of: Array(buffer[..<length]))))
        }
        return found
    }

    /// All but the last datagram of a train are as long as a full one.
    private static func first(of packet: [UInt8]) -> [UInt8] {
        guard packet.count > 1500 else { return packet }
        var one = Array(packet[..<1500])
        (one[2], one[3]) = (UInt8(1500 >> 8), UInt8(1500 & 0xff))
        (one[24], one[25]) = (UInt8(1480 >> 8), UInt8(1480 & 0xff))
        return one
    }
}

/// Sends IP packets with any source.
private struct Forger {
    private let descriptor: Int32

    init(in namespace: Namespace) throws {
        descriptor = try namespace.enter {
            socket(AF_INET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(IPPROTO_RAW))
        }
        guard descriptor >= 0 else { throw Fault.last("raw socket") }
    }

    func send(_ packet: [UInt8], to address: IPAddress) {
        var packet = packet
        // No checksum (RFC 768): the captured one may have been left to a card. The kernel makes IP's.
        (packet[26], packet[27]) = (0, 0)
        (packet[10], packet[11]) = (0, 0)
        _ = Socket.with(address, 0) { sendto(descriptor, packet, packet.count, 0, $0, $1) }
    }
}
