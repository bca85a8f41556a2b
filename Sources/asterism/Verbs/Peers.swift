import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Peers: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Lists the sessions of the mesh that this node has.",
        discussion: "The agent of this machine is asked first, then the controller.")

    @OptionGroup var common: Common

    func perform() throws {
        let link = try common.link(.agent, .controller)
        let answer = try link.call(PeersList())
        try showTable(answer, from: link, none: "no peers", Peers.table)
    }

    static func table(_ peers: [PeerView]) -> Table {
        var table = Table([
            .init("PEER", least: 8), .init("STATE"), .init("PATH", importance: 5), .init("RTT", right: true),
            .init("OVERLAY", importance: 2), .init("ADDRESS", least: 12, importance: 5),
            .init("LAST SEEN", right: true, importance: 4), .init("RECEIVED", right: true, importance: 3),
            .init("SENT", right: true, importance: 3), .init("STREAMS", right: true, importance: 1),
            .init("KEY AGE", right: true, importance: 1), .init("CIPHER", importance: 2),
            .init("PACKETS IN", right: true, importance: 2), .init("OUT", right: true, importance: 2),
            .init("ROUTE", importance: 2), .init("DATAGRAM", right: true, importance: 1), .init("ID", importance: 0),
        ])
        for peer in peers {
            table.add([
                .init(peer.name ?? peer.node.short),
                .init(peer.isConnected ? "connected" : "idle", peer.isConnected ? .good : .faint),
                peer.address == nil
                    ? .init(nil)
                    : peer.isRelayed
                        ? .init(["relay", peer.relay].compactMap { $0 }.joined(separator: " "), .caution)
                        : .init("direct", .good),
                .init(peer.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(peer.overlay4?.description), .init(peer.address?.description),
                .init(peer.sinceReceivedMilliseconds.map { Units.age(.milliseconds($0)) }),
                .init(Units.size(Int64(peer.bytesReceived))), .init(Units.size(Int64(peer.bytesSent))),
                .init("\(peer.openStreams)"), .init(peer.keyAgeSeconds.map { Units.age(.seconds($0)) }),
                .init(peer.cipher), .init(Units.packets(peer.packetsReceived, bytes: peer.packetBytesReceived)),
                .init(Units.packets(peer.packetsSent, bytes: peer.packetBytesSent)),
                peer.hasRoute ? .init("yes", .good) : .init("no", .faint),
                .init(peer.datagramBytes.map(String.init)), .init(peer.node.short),
            ])
        }
        return table
    }
}
