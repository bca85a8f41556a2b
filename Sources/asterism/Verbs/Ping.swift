import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Ping: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Measures round trips to a node of the fleet, inside a session with it.",
        discussion: """
            Each line states the path of the answer. --via selects the path of the ping; data stays on its own path. A \
            path is an address with its port, a relay's name or id, 'direct' or 'relay'; 'asterism why' lists them. \
            The exit status is 5 if no answer arrived, or with --until-direct if none arrived over a direct path.
            """)

    @OptionGroup var common: Common
    @Argument(help: "A node's name, overlay address, id, or four or more first digits of its id.") var peer: String
    @Option(
        name: .shortAndLong,
        help: "Number of pings, 1 to 100. (default: 4; with --until-direct as many as fit into --timeout)")
    var count: Int?
    @Option(name: .shortAndLong, help: "Milliseconds between two pings, 10 to 60000.") var interval: Int = 1000
    @Flag(help: "Stop at the first answer over a direct path.") var untilDirect = false
    @Option(help: ArgumentHelp("Use only this path.", valueName: "path")) var via: String?

    private var limit: Int { count ?? (untilDirect ? .max : 4) }

    func validate() throws {
        if let count, !(1...100).contains(count) {
            throw ValidationError("--count must be 1 to 100, not \(count)")
        }
        guard (10...60_000).contains(interval) else {
            throw ValidationError("--interval must be 10 to 60000 milliseconds, not \(interval)")
        }
        if untilDirect, via != nil { throw ValidationError("give --until-direct or --via, and not both") }
    }

    func perform() throws {
        let link = try common.link(.agent)
        var signals = DevSignals()
        var sum: PingView?
        let end = monotonicSeconds() + common.timeout
        for number in 1...limit {
            let begin = monotonicSeconds()
            let view = try ask(sum?.node.hex ?? peer, link)
            let total = sum.map { Ping.sum($0, view) } ?? view
            sum = total
            if !common.json { writeOut(Ping.line(view, number)) }
            if untilDirect, view.answers.contains(where: { !$0.isRelayed }) { break }
            // A given count is not ended by the time limit.
            if count == nil, untilDirect, monotonicSeconds() >= end { break }
            if number < limit, signals.sleep(max(0, Double(interval) / 1000 - (monotonicSeconds() - begin))) { break }
        }
        guard let sum else { return }
        writeOut(common.json ? try JSONText.document(sum) : Ping.summary(sum))
        guard !sum.answers.isEmpty else { throw Failure(.unavailable, "no answer from \(peer)") }
        if untilDirect, sum.answers.allSatisfy(\.isRelayed) {
            throw Failure(.unavailable, "no direct path to \(peer): \(try reason(sum.node, link))")
        }
    }

    private func ask(_ peer: String, _ link: Link) throws -> PingView {
        do {
            return try ping(peer, link)
        } catch let error as APIError where error.code == .notFound && error.field == "peer" {
            // An agent knows only the ids of its peers. A controller on this machine knows all.
            guard let id = try? idAtController() else { throw error }
            return try ping(id, link)
        }
    }

    private func ping(_ peer: String, _ link: Link) throws -> PingView {
        let request = PingPeer(peer: peer, count: 1, intervalMilliseconds: Int64(interval), via: via)
        return try link.call(request, within: common.timeout + 15).view()
    }

    private func idAtController() throws -> String {
        let link = try common.link(.controller)
        return try link.call(NodesGet(node: peer)).view().id.hex
    }

    private func reason(_ node: NodeID, _ link: Link) throws -> String {
        let view = try link.call(ExplainPaths(peer: node.hex)).view()
        return view.reason.map { Why.explanation(of: $0) } ?? "data goes \(Why.headline(view))"
    }

    /// The sum of both; the numbers of the second continue those of the first.
    private static func sum(_ first: PingView, _ second: PingView) -> PingView {
        var sum = first
        for answer in second.answers {
            var answer = answer
            answer.number += first.sent
            sum.answers.append(answer)
        }
        sum.sent += second.sent
        sum.roundTripsMicroseconds += second.roundTripsMicroseconds
        return sum
    }

    static func line(_ view: PingView, _ number: Int) -> String {
        let name = (view.name ?? view.node.short).printable
        guard let answer = view.answers.first else { return "\(number): no answer from \(name)\n" }
        let trip = Units.roundTrip(microseconds: answer.roundTripMicroseconds)
        let way = Why.way(answer.address, answer.isRelayed, answer.relay, isTCP: answer.isTCP, direct: "direct ")
        return "\(number): \(name) \(trip), \(way)\n"
    }

    static func summary(_ view: PingView) -> String {
        let sorted = view.roundTripsMicroseconds.sorted()
        let lost = max(0, view.sent - sorted.count)
        var text =
            "\(view.sent) sent, \(sorted.count) answered, \(view.sent == 0 ? 0 : lost * 100 / view.sent)% lost"
        if let least = sorted.first, let most = sorted.last {
            let values = [least, sorted[sorted.count / 2], most].map { Units.roundTrip(microseconds: $0) }
            text += "; min \(values[0]), median \(values[1]), max \(values[2])"
        }
        return text + "\n"
    }
}
