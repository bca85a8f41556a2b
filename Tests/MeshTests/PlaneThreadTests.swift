import Base
import Mesh
import Noise
import Testing
import Wire

/// Data planes of several threads that share keys. Under a thread sanitizer this also shows whether they share more.
@Suite struct PlaneThreadTests {
    private static let here = IPAddress.v4(0x6440_0001), there = IPAddress.v4(0x6440_0002)
    private static let six = IPAddress.v6(high: 0xfd00 << 48, low: 1)
    private static let remotes = (1...2).map { SocketAddress(.v4(0x0a00_0000 + $0), 7950) }
    private static let now = Instant.origin + .seconds(1)

    private static func certificate(app: String) -> Certificate {
        Certificate(
            fleet: FleetID(1, 2), serial: 1, node: NodeID([UInt8](repeating: 1, count: 32))!, roles: .agent,
            notBefore: UnixTime(milliseconds: 0), notAfter: UnixTime(milliseconds: 1), name: "x",
            labels: [Label("app", app)])
    }

    /// A plane of its own for each thread, with what it shares.
    private struct Sender: ~Copyable {
        var plane: DataPlane
        var out = DataPlaneOutbox()
        /// Sealed datagrams.
        var sent: [[UInt8]] = []

        init(_ route: TxRoute, _ flows: FlowTable) {
            plane = DataPlane(role: .outward, flows: flows)
            plane.apply(.local(OverlayLocal(address4: here, address6: six)), now: now, into: &out)
            plane.apply(.route(route), now: now, into: &out)
        }

        mutating func send(_ count: Int, thread: UInt16) {
            for number in 0..<count {
                let text = [UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8), 7, 7]
                var packet = TestPacket.udp((1000 + thread, UInt16(number & 0xff)), from: here, to: there, text)
                packet.withUnsafeMutableBytes { memory in
                    plane.submitted(
                        memory.baseAddress!, count: memory.count, VirtioHeader(), now: now, into: &out)
                }
                for train in out.trains.all {
                    for offset in stride(from: 0, to: train.count, by: train.segment) {
                        let start = out.trains.memory + train.offset + offset
                        sent.append(
                            Array(
                                UnsafeRawBufferPointer(start: start, count: min(train.segment, train.count - offset))))
                    }
                }
                out.trains.removeAll()
            }
        }
    }

    private static func receive(_ datagrams: [[UInt8]], _ entry: RxEntry, from remote: SocketAddress) -> [Int] {
        var plane = DataPlane(role: .inward, isShared: true), out = DataPlaneOutbox()
        plane.apply(.local(OverlayLocal(address4: there, address6: six)), now: now, into: &out)
        plane.apply(.install(entry), now: now, into: &out)
        var events = 0
        for datagram in datagrams {
            var bytes = datagram
            bytes.withUnsafeMutableBytes { memory in
                plane.received(
                    memory, segment: memory.count, congestion: 0, from: remote, now: now, into: &out)
            }
            out.packets.removeAll()
            events += out.events.count
            out.events = []
        }
        let packets = plane.takeActivity().reduce(0) { $0 + Int($1.packets) }
        let accepted = Int(plane.counters.packetsReceived)
        return [accepted, plane.counters[.replayed], plane.counters[.forged], events, packets]
    }

    @Test(arguments: [Cipher.chaChaPoly, .aesGCM].filter(\.isAvailable))
    func `each counter is used once, and each packet accepted once`(_ cipher: Cipher) async {
        let key = SecretBytes((0..<32).map { UInt8($0) })
        let route = TxRoute(
            peer: 0, remoteIndex: 0, key: CipherKey(cipher, key: key), address4: Self.there, address6: nil,
            remote: PathAddress(Self.remotes[0]), datagramBytes: 1472, tracksFlows: true, expiresAt: .distantFuture)
        let flows = FlowTable(), count = 4000
        // Each thread's own, made before the threads begin.
        let routes = [route, route.sibling(), route.sibling()]
        let all = await withTaskGroup(of: [[UInt8]].self) { group in
            for (thread, route) in routes.enumerated() {
                group.addTask {
                    var sender = Sender(route, flows)
                    sender.send(count, thread: UInt16(thread))
                    return sender.sent
                }
            }
            return await group.reduce(into: [[UInt8]]()) { $0 += $1 }
        }
        #expect(all.count == count * routes.count)
        let counters = Set(all.map { $0[8..<16].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } })
        #expect(counters == Set(0..<UInt64(all.count)))

        // Both threads get all of them, from two addresses, in the order of their counters.
        let sorted = all.sorted { $0[8..<16].lexicographicallyPrecedes($1[8..<16]) }
        let entry = RxEntry(
            index: 0, peer: 0, key: CipherKey(cipher, key: key), address4: Self.here, address6: nil,
            policy: PeerPolicy(own: Self.certificate(app: "a"), peer: Self.certificate(app: "a"), rules: []),
            remote: PathAddress(Self.remotes[0]), isConfirmed: false, expiresAt: .distantFuture)
        let results = await withTaskGroup(of: [Int].self) { group in
            for remote in Self.remotes {
                group.addTask { Self.receive(sorted, entry, from: remote) }
            }
            return await group.reduce(into: [[Int]]()) { $0.append($1) }
        }
        let sums = (0..<5).map { index in results.reduce(0) { $0 + $1[index] } }
        #expect(sums[0] == all.count, "accepted")
        #expect(sums[1] == all.count, "replayed")
        #expect(sums[2] == 0, "forged")
        #expect(sums[3] >= 1, "confirmed, and moved maybe")
        #expect(sums[4] == all.count, "reported to the agent")
    }
}
