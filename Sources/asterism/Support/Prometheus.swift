import Base
import Control

/// # Figures for Prometheus
///
/// A status in the text format (https://prometheus.io/docs/instrumenting/exposition_formats/), as node_exporter's collector
/// of text files takes it. A counter's name becomes the metric's; parts behind a dot become labels where they are kinds of
/// one thing, such as the reasons for drops.
enum Prometheus {
    /// Counters whose name has parts: the metric, and what the parts behind the first one are called.
    private static let families: [(prefix: String, metric: String, labels: [String], help: String)] = [
        ("pathSwitches", "path_switch_total", ["reason"], "Changes of the path in use."),
        (
            "punches", "punch_result", ["classA", "classB", "method", "result"],
            "Results of hole punching, by the NAT mappings of this node and of the peer."
        ),
        ("relayedBytes", "relay_bytes", ["direction"], "Bytes of this node's own datagrams over relays."),
        ("overlay.dropped", "overlay_dropped_total", ["reason"], "Dropped packets of the overlay."),
        ("dropped", "dropped_total", ["reason"], "Dropped datagrams."),
    ]

    /// Figures of a present count; all others only grow.
    private static let gauges: Set<String> = ["relay.allocations", "tcp.connections", "tcp.waiting"]

    static func text(_ view: StatusView) -> String {
        var text = ""
        var taken: Set<String> = []
        for family in families {
            let members = view.counters.filter { $0.name.hasPrefix(family.prefix + ".") }
            taken.formUnion(members.map(\.name))
            text += head(family.metric, "counter", family.help, isThere: !members.isEmpty)
            for member in members {
                let values = member.name.dropFirst(family.prefix.count + 1).split(
                    separator: ".", omittingEmptySubsequences: false)
                let labels = zip(family.labels, values).map { "\($0)=\"\($1)\"" }.joined(separator: ",")
                text += "asterism_\(family.metric){\(labels)} \(member.count)\n"
            }
        }
        text += failovers(view.counters)
        taken.formUnion(view.counters.map(\.name).filter { $0.hasPrefix("failover") })
        for counter in view.counters where !taken.contains(counter.name) {
            let isGauge = gauges.contains(counter.name)
            let name = snakeCase(counter.name) + (isGauge ? "" : "_total")
            let help = "The \(isGauge ? "figure" : "counter") \(counter.name)."
            text +=
                head(name, isGauge ? "gauge" : "counter", help, isThere: true)
                + "asterism_\(name) \(counter.count)\n"
        }
        return text
    }

    /// The counters have separate buckets. Prometheus' buckets are cumulative.
    private static func failovers(_ counters: [CounterView]) -> String {
        let prefix = "failovers."
        let buckets = counters.filter { $0.name.hasPrefix(prefix) }
        guard !buckets.isEmpty else { return "" }
        let name = "asterism_failover_ms"
        var text = head(
            "failover_ms", "histogram", "How long data had been in doubt when it was moved to another path.",
            isThere: true)
        var sum = 0
        for bucket in buckets {
            sum += bucket.count
            let bound = bucket.name.dropFirst(prefix.count)
            text += "\(name)_bucket{le=\"\(bound == "more" ? "+Inf" : bound)\"} \(sum)\n"
        }
        let milliseconds = counters.first { $0.name == "failoverMilliseconds" }?.count ?? 0
        return text + "\(name)_sum \(milliseconds)\n\(name)_count \(sum)\n"
    }

    private static func head(_ name: String, _ type: String, _ help: String, isThere: Bool) -> String {
        isThere ? "# HELP asterism_\(name) \(help)\n# TYPE asterism_\(name) \(type)\n" : ""
    }

    /// `handshakesStarted` becomes `handshakes_started`. Other characters become underscores.
    private static func snakeCase(_ name: String) -> String {
        var text = ""
        for character in name {
            if character.isUppercase {
                text += (text.isEmpty || text.hasSuffix("_") ? "" : "_") + character.lowercased()
            } else {
                text.append(character.isASCII && (character.isLetter || character.isNumber) ? character : "_")
            }
        }
        return text
    }
}
