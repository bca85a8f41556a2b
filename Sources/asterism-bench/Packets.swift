import ArgumentParser
import Base
import Mesh
import Noise
import Wire

/// The packet path without a kernel: what a data plane costs for each packet that it seals, opens, cuts, joins or refuses.
struct Packets: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "packets", abstract: "Sends packets through two data planes, and junk into one.",
        discussion: """
            Nanoseconds a packet, the best of the rounds. 'cut' and 'join' are of super-packets of 60 KB in segments of \
            1348 bytes of payload; the figures of refused packets are also given as shares of an accepted one of the \
            same size.
            """)

    @Option(help: "Rounds; the best one counts.") var rounds = 20
    @Option(help: "Whether AES-GCM may use VAES instructions: auto or off.") var cryptoAccelerate = "auto"
    @Option(help: "Peers with routes and keys, among which one is used.") var peers = 1000

    func validate() throws {
        if !(1...10_000).contains(rounds) { throw ValidationError("--rounds must be from 1 to 10000.") }
        if !["auto", "off"].contains(cryptoAccelerate) {
            throw ValidationError("--crypto-accelerate must be auto or off.")
        }
        if !(1...10_000).contains(peers) { throw ValidationError("--peers must be from 1 to 10000.") }
    }

    func run() throws {
        CipherAcceleration.current = cryptoAccelerate == "auto" ? .auto : .off
        let cipher = Cipher.aesGCM.isAvailable ? Cipher.aesGCM : .chaChaPoly
        print("\(cipher.name), \(CipherAcceleration.describe()), \(peers) peers")
        let shard = Shard(cipher, peers: peers)
        for size in [64, 1348] {
            printRow("seal", size, best { shard.seal(payload: size) })
            let accepted = best { shard.open(payload: size) }
            printRow("open", size, accepted)
            for junk in Shard.Junk.allCases {
                let refused = best { shard.refuse(junk, payload: size) }
                printRow("refuse, \(junk.rawValue)", size, refused, share: refused / accepted)
            }
        }
        let (cut, join) = (best { shard.cut() }, best { shard.join() })
        printRow("cut", 1348, cut)
        printRow("join", 1348, join)
    }

    private func best(_ measure: () -> Double) -> Double {
        (0..<rounds).map { _ in measure() }.min() ?? 0
    }

    private func printRow(_ step: String, _ size: Int, _ nanoseconds: Double, share: Double? = nil) {
        let name = step + String(repeating: " ", count: max(0, 28 - step.count))
        let figure = "\((nanoseconds * 10).rounded() / 10)"
        let part = share.map { "  (\(($0 * 100).rounded() / 100) of an accepted one)" } ?? ""
        print("\(name) \(size) B: \(figure) ns\(part)")
    }
}

/// Two data planes that share keys, and packets between them.
private final class Shard {
    enum Junk: String, CaseIterable {
        case unknownIndex = "unknown index"
        case wrongTag = "wrong tag"
        case replayed
    }

    private var sender = DataPlane()
    private var receiver = DataPlane()
    private var out = DataPlaneOutbox()
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    private let packet = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 64)
    private let clock = ContinuousClock()
    private let now = Instant.origin + .seconds(1)
    private let here = IPAddress.v4(0x6440_0001), there = IPAddress.v4(0x6440_0002)
    private static let remote = SocketAddress(.v4(0x0a00_0001), 7950)
    private static let batch = 32

    init(_ cipher: Cipher, peers: Int) {
        let six = IPAddress.v6(high: 0xfd00 << 48, low: 1)
        sender.apply(.local(OverlayLocal(address4: here, address6: six)), now: now, into: &out)
        receiver.apply(.local(OverlayLocal(address4: there, address6: six)), now: now, into: &out)
        let fleet = FleetID(1, 2)
        let certificate = Certificate(
            fleet: fleet, serial: 1, node: NodeID([UInt8](repeating: 1, count: 32))!, roles: .agent,
            notBefore: UnixTime(milliseconds: 0), notAfter: UnixTime(milliseconds: 1), name: "x")
        let policy = PeerPolicy(own: certificate, peer: certificate, rules: [])
        for peer in 0..<peers {
            let key = SecretBytes((0..<32).map { UInt8(truncatingIfNeeded: $0 + peer) })
            let other = peer == 0 ? there : IPAddress.v4(0x6450_0000 + UInt32(peer))
            let route = TxRoute(
                peer: peer, remoteIndex: UInt32(peer), key: CipherKey(cipher, key: key), address4: other,
                address6: nil, remote: PathAddress(Shard.remote), datagramBytes: 1472, tracksFlows: false,
                expiresAt: .distantFuture)
            sender.apply(.route(route), now: now, into: &out)
            let entry = RxEntry(
                index: UInt32(peer), peer: peer, key: CipherKey(cipher, key: key), address4: here, address6: nil,
                policy: policy, remote: PathAddress(Shard.remote), isConfirmed: true, expiresAt: .distantFuture)
            receiver.apply(.install(entry), now: now, into: &out)
        }
    }

    deinit {
        memory.deallocate()
        packet.deallocate()
    }

    /// Writes a packet of TCP with a partial checksum, and gives its virtio header.
    private func write(payload: Int, segment: Int) -> (count: Int, header: VirtioHeader) {
        let bytes = packet.baseAddress!, count = 52 + payload
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: 52)
        for (offset, value) in [(0, 0x45), (8, 64), (9, 6), (32, 0x80), (33, 0x10)] {
            bytes.storeBytes(of: UInt8(value), toByteOffset: offset, as: UInt8.self)
        }
        bytes.storeBytes(of: UInt16(truncatingIfNeeded: count).bigEndian, toByteOffset: 2, as: UInt16.self)
        for (offset, address) in [(12, here), (16, there)] {
            guard case .v4(let value) = address else { continue }
            bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
        }
        var header = VirtioHeader()
        header.flags = VirtioHeader.needsChecksum
        header.checksumStart = 20
        header.checksumOffset = 16
        if payload > segment {
            header.segmentation = .tcp4
            header.segmentSize = UInt16(segment)
        }
        return (count, header)
    }

    private func submit(payload: Int, segment: Int, times: Int) {
        for _ in 0..<times {
            let (count, header) = write(payload: payload, segment: segment)
            sender.submitted(packet.baseAddress!, count: count, header, now: now, into: &out)
        }
    }

    private func timed(_ packets: Int, _ body: () -> Void) -> Double {
        let begin = clock.now
        body()
        return (clock.now - begin) / .nanoseconds(1) / Double(packets)
    }

    func seal(payload: Int) -> Double {
        let result = timed(Shard.batch) { submit(payload: payload, segment: payload, times: Shard.batch) }
        out.trains.removeAll()
        return result
    }

    func cut() -> Double {
        let result = timed(45) { submit(payload: 45 * 1348, segment: 1348, times: 1) }
        out.trains.removeAll()
        return result
    }

    /// Copies the trains to where a socket would have put them.
    private func receiveTrains() -> UnsafeMutableRawBufferPointer {
        let count = out.trains.byteCount
        memory.copyMemory(from: UnsafeRawBufferPointer(start: out.trains.memory, count: count))
        out.trains.removeAll()
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer, segment: Int) {
        receiver.received(bytes, segment: segment, congestion: 0, from: Shard.remote, now: now, into: &out)
        out.packets.removeAll()
    }

    func open(payload: Int) -> Double {
        submit(payload: payload, segment: payload, times: Shard.batch)
        let bytes = receiveTrains(), size = 52 + 32 + payload
        let before = receiver.counters.packetsReceived
        let result = timed(Shard.batch) { receive(bytes, segment: size) }
        precondition(receiver.counters.packetsReceived == before + UInt64(Shard.batch), "not all were accepted")
        return result
    }

    func join() -> Double {
        submit(payload: 45 * 1348, segment: 1348, times: 1)
        let bytes = receiveTrains()
        return timed(45) { receive(bytes, segment: 52 + 32 + 1348) }
    }

    func refuse(_ junk: Junk, payload: Int) -> Double {
        submit(payload: payload, segment: payload, times: Shard.batch)
        let bytes = receiveTrains(), size = 52 + 32 + payload
        if junk == .replayed {
            // The same sealed datagrams again.
            let copy = [UInt8](bytes)
            receive(bytes, segment: size)
            bytes.copyBytes(from: copy)
        }
        for position in 0..<Shard.batch {
            let start = position * size
            if junk == .unknownIndex { bytes[start + 4] = 0xff }
            if junk == .wrongTag { bytes[start + size - 1] ^= 1 }
        }
        let before = receiver.counters.packetsReceived
        let result = timed(Shard.batch) { receive(bytes, segment: size) }
        precondition(receiver.counters.packetsReceived == before, "junk was accepted")
        return result
    }
}
