import ArgumentParser
import Base
import Control
import Foundation

struct Top: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Shows the traffic with each peer as rates, updated each interval.",
        discussion: """
            On a terminal the table is drawn again each interval, busiest peers first, until Ctrl-C. Elsewhere, and \
            with --json, each interval is one JSON document on a line.
            """)

    @OptionGroup var common: Common
    @Option(name: .shortAndLong, help: "Seconds between two updates, 0.1 to 3600.") var interval: Double = 1
    @Option(name: [.customShort("n"), .long], help: "Stop after this many intervals.") var count: Int?

    func validate() throws {
        guard (0.1...3600).contains(interval) else {
            throw ValidationError("--interval must be 0.1 to 3600 seconds, not \(interval)")
        }
        if let count, count < 1 { throw ValidationError("--count must be 1 or more, not \(count)") }
    }

    func perform() throws {
        let link = try common.link(.agent)
        // From here on signals are waited for. A signal ends the loop, and the screen is restored.
        var signals = DevSignals()
        var screen = TopScreen(terminal, isRequested: !common.json)
        var last = try look(link)
        do {
            screen.draw(TopReport(from: nil, to: last))
            var left = count ?? .max
            while left > 0, !signals.sleep(interval) {
                let next = try look(link)
                let report = TopReport(from: last, to: next)
                if screen.isDrawn { screen.draw(report) } else { writeOut(try JSONText.line(report)) }
                last = next
                left -= 1
            }
        } catch {
            screen.close()
            throw error
        }
        screen.close()
    }

    private func look(_ link: Link) throws -> TopSample {
        let peers = try link.call(PeersList()).view()
        let time = monotonicSeconds()
        let status = try link.call(StatusGet()).view()
        return TopSample(time: time, at: wallClock(), peers: peers, counters: status.counters, name: status.name)
    }
}

/// The figures at one time.
struct TopSample {
    /// Of the monotonic clock, in seconds.
    var time: Double
    var at: UnixTime
    var peers: [PeerView]
    var counters: [CounterView]
    var name: String?
}

/// The traffic between two samples, as JSON shows it.
struct TopReport: Codable, Equatable {
    struct Peer: Codable, Equatable {
        var node: NodeID
        var name: String?
        var isConnected: Bool
        var hasRoute: Bool
        var address: SocketAddress?
        var cipher: String?
        var roundTripMicroseconds: Int64?
        /// Of the path: the largest IP packet.
        var pathMTU: Int?
        /// Rates are absent where the peer was not seen before.
        var packetsPerSecondIn: Int?
        var packetsPerSecondOut: Int?
        var bitsPerSecondIn: Int?
        var bitsPerSecondOut: Int?
    }
    struct Drop: Codable, Equatable {
        /// The counter's name.
        var reason: String
        var count: Int
    }
    var at: UnixTime
    var name: String?
    var milliseconds: Int
    /// The busiest first.
    var peers: [Peer]
    /// What was dropped meanwhile, the most frequent reason first.
    var drops: [Drop]

    init(from before: TopSample?, to now: TopSample) {
        let time = before.map { now.time - $0.time } ?? 0
        at = now.at
        name = now.name
        milliseconds = Int(time * 1000)
        peers = now.peers.map { peer in
            TopReport.peer(peer, before?.peers.first { $0.node == peer.node }, seconds: time)
        }
        .sorted { ($0.traffic, $1.label) > ($1.traffic, $0.label) }
        drops = before.map { TopReport.drops($0.counters, now.counters) } ?? []
    }

    private static func peer(_ view: PeerView, _ before: PeerView?, seconds: Double) -> Peer {
        var peer = Peer(
            node: view.node, name: view.name, isConnected: view.isConnected, hasRoute: view.hasRoute,
            address: view.address, cipher: view.cipher, roundTripMicroseconds: view.roundTripMicroseconds)
        if let bytes = view.datagramBytes, let address = view.address {
            peer.pathMTU = bytes + (address.ip.isIPv4 ? 28 : 48)
        }
        guard let before, seconds > 0 else { return peer }
        // A peer that was forgotten and came back counts from the beginning.
        func rate(_ count: Int, _ last: Int, _ unit: Double) -> Int {
            Int(Double(count >= last ? count - last : count) * unit / seconds)
        }
        peer.packetsPerSecondIn = rate(view.packetsReceived, before.packetsReceived, 1)
        peer.packetsPerSecondOut = rate(view.packetsSent, before.packetsSent, 1)
        peer.bitsPerSecondIn = rate(view.packetBytesReceived, before.packetBytesReceived, 8)
        peer.bitsPerSecondOut = rate(view.packetBytesSent, before.packetBytesSent, 8)
        return peer
    }

    private static func drops(_ before: [CounterView], _ now: [CounterView]) -> [Drop] {
        let last = Dictionary(before.map { ($0.name, $0.count) }) { $0 + $1 }
        let all = now.filter { $0.name.hasPrefix("overlay.dropped.") || $0.name.hasPrefix("dropped.") }
        return all.map { Drop(reason: $0.name, count: $0.count - (last[$0.name] ?? 0)) }
            .filter { $0.count > 0 }.sorted { ($0.count, $1.reason) > ($1.count, $0.reason) }
    }

    var table: Table {
        var table = Table([
            .init("PEER", least: 8), .init("IN", right: true), .init("PKT/S", right: true, importance: 4),
            .init("OUT", right: true), .init("PKT/S", right: true, importance: 4),
            .init("RTT", right: true, importance: 5), .init("CIPHER", importance: 2),
            .init("PATH", least: 12, importance: 3), .init("MTU", right: true, importance: 1),
        ])
        for peer in peers {
            table.add([
                .init(peer.label, peer.hasRoute ? .good : peer.isConnected ? .plain : .faint),
                .init(peer.bitsPerSecondIn.map { Units.rate(bitsPerSecond: Double($0)) }),
                .init(peer.packetsPerSecondIn.map { Units.decimal(Double($0)) }),
                .init(peer.bitsPerSecondOut.map { Units.rate(bitsPerSecond: Double($0)) }),
                .init(peer.packetsPerSecondOut.map { Units.decimal(Double($0)) }),
                .init(peer.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(peer.cipher), .init(peer.address?.description), .init(peer.pathMTU.map(String.init)),
            ])
        }
        return table
    }

    /// One line, without a break.
    var dropsText: String {
        drops.isEmpty
            ? "nothing dropped" : "dropped: " + drops.map { "\($0.reason) \($0.count)" }.joined(separator: ", ")
    }
}

extension TopReport.Peer {
    var label: String { name ?? node.short }
    fileprivate var traffic: Int { (bitsPerSecondIn ?? 0) + (bitsPerSecondOut ?? 0) }
}

/// Draws reports in place on the alternate screen. At the end the old screen is restored.
struct TopScreen {
    private let terminal: Terminal
    let isDrawn: Bool
    private var isOpen = false

    init(_ terminal: Terminal, isRequested: Bool) {
        self.terminal = terminal
        isDrawn = isRequested && terminal.width != nil
    }

    mutating func draw(_ report: TopReport) {
        guard isDrawn else { return }
        // The size may have changed.
        let terminal = terminal.isRedrawable ? Terminal.standardOutput() : terminal
        let lines = TopScreen.lines(report, terminal)
        guard terminal.isRedrawable else { return writeOut(lines.joined(separator: "\n") + "\n") }
        var text = isOpen ? "" : "\u{1b}[?1049h\u{1b}[?25l"
        isOpen = true
        // Each line clears the rest of its row, and the last one the rows below, so the screen does not flicker.
        text += "\u{1b}[H" + lines.map { $0 + "\u{1b}[K" }.joined(separator: "\n") + "\u{1b}[J"
        writeOut(text)
    }

    func close() {
        if isOpen { writeOut("\u{1b}[?25h\u{1b}[?1049l") }
    }

    /// At most as many lines as the terminal has, and none wider.
    static func lines(_ report: TopReport, _ terminal: Terminal) -> [String] {
        func fit(_ text: String, _ style: Terminal.Style) -> String {
            let text = text.printable
            return terminal.styled(terminal.width.map { text.cut(to: $0) } ?? text, style)
        }
        let time = report.at.description.dropFirst(11).prefix(8)
        let connected = report.peers.count { $0.isConnected }
        let head = fit(
            "\(report.name ?? "asterism")  \(time)  \(connected) of \(report.peers.count) peers connected", .faint)
        var rows = report.table.render(terminal).split(separator: "\n").map(String.init)
        let room = terminal.rows.map { max(2, $0 - 3) } ?? .max
        if rows.count > room {
            let hidden = rows.count - room + 1
            rows = Array(rows.prefix(room - 1)) + [fit("and \(hidden) more", .faint)]
        }
        return [head] + rows + [fit(report.dropsText, report.drops.isEmpty ? .faint : .caution)]
    }
}
