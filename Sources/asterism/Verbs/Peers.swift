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
        let answer = try link.call(AgentRequest.peersList)
        try showTable(answer, from: link, as: [PeerView].self, none: "no peers", Peers.table)
    }

    static func table(_ peers: [PeerView]) -> Table {
        var table = Table([
            .init("PEER", least: 8), .init("STATE"), .init("PATH", importance: 5), .init("RTT", right: true),
            .init("OVERLAY", importance: 2), .init("ADDRESS", least: 12, importance: 5),
            .init("HEARD", right: true, importance: 4), .init("RECEIVED", right: true, importance: 3),
            .init("SENT", right: true, importance: 3), .init("STREAMS", right: true, importance: 1),
            .init("KEY AGE", right: true, importance: 1), .init("CIPHER", importance: 2),
            .init("PACKETS IN", right: true, importance: 2), .init("OUT", right: true, importance: 2),
            .init("ROUTE", importance: 2), .init("DATAGRAM", right: true, importance: 1), .init("ID", importance: 0),
        ])
        for peer in peers {
            table.add([
                .init(peer.name ?? peer.node.short),
                .init(peer.isConnected ? "connected" : "idle", peer.isConnected ? .good : .faint),
                peer.address == nil ? .init(nil) : peer.isRelayed ? .init("relay", .caution) : .init("direct", .good),
                .init(peer.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(peer.overlay4?.description), .init(peer.address?.description),
                .init(peer.sinceHeardMilliseconds.map { Units.age(.milliseconds($0)) }),
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

struct Ping: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Measures round trips to a node of the fleet, inside a session with it.",
        discussion: "Exit status 5 where no answer came.")

    @OptionGroup var common: Common
    @Argument(help: "A node's name, overlay address, id, or the first digits of its id.") var peer: String
    @Option(name: .shortAndLong, help: "How often, 1 to 100.") var count: Int = 4
    @Option(name: .shortAndLong, help: "Milliseconds between two, 10 to 60000.") var interval: Int = 1000

    func validate() throws {
        guard (1...100).contains(count) else { throw ValidationError("--count must be 1 to 100, not \(count)") }
        guard (10...60_000).contains(interval) else {
            throw ValidationError("--interval must be 10 to 60000 milliseconds, not \(interval)")
        }
    }

    func perform() throws {
        let link = try common.link(.agent)
        let answer: Answer
        do {
            answer = try ping(peer, link)
        } catch let error as APIError where error.code == .notFound {
            // An agent knows the first digits of few ids. Where the controller is at hand, it knows all.
            guard let id = try? idAtController() else { throw error }
            answer = try ping(id, link)
        }
        try show(answer) { Ping.text($0) }
        if try answer.view(PingView.self).roundTripsMicroseconds.isEmpty {
            throw Failure(.unavailable, "no answer from \(peer)")
        }
    }

    private func ping(_ peer: String, _ link: Link) throws -> Answer {
        let request = AgentRequest.Ping(peer: peer, count: Int64(count), intervalMilliseconds: Int64(interval))
        let duration = Double(count * interval) / 1000
        return try link.call(AgentRequest.ping(request), within: common.timeout + duration)
    }

    private func idAtController() throws -> String {
        let link = try common.link(.controller)
        return try link.call(ControllerRequest.nodesGet(.init(node: peer))).view(NodeView.self).id.hex
    }

    static func text(_ view: PingView) -> String {
        let name = (view.name ?? view.node.short).printable
        var text = ""
        for (index, trip) in view.roundTripsMicroseconds.enumerated() {
            text += "\(index + 1): \(name) \(Units.roundTrip(microseconds: trip))\n"
        }
        let sorted = view.roundTripsMicroseconds.sorted()
        let lost = max(0, view.sent - sorted.count)
        text += "\(view.sent) sent, \(sorted.count) answered, \(view.sent == 0 ? 0 : lost * 100 / view.sent)% lost"
        if let least = sorted.first, let most = sorted.last {
            let values = [least, sorted[sorted.count / 2], most].map { Units.roundTrip(microseconds: $0) }
            text += "; least \(values[0]), median \(values[1]), most \(values[2])"
        }
        return text + "\n"
    }
}
