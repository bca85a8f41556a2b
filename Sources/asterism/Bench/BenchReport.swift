import Base
import Control

/// The results of a measurement between this node and a peer, as JSON shows them.
struct BenchReport: Codable, Equatable {
    /// Round trips of UDP, sent at a steady pace. Values are absent where nothing came back.
    struct Trips: Codable, Equatable {
        var sent: Int
        var received: Int
        var leastMicroseconds: Int64?
        var p50Microseconds: Int64?
        var p99Microseconds: Int64?
        var mostMicroseconds: Int64?

        init(sent: Int, microseconds: [Int64]) {
            let sorted = microseconds.sorted()
            self.sent = sent
            received = sorted.count
            leastMicroseconds = sorted.first
            p50Microseconds = Trips.quantile(sorted, 50)
            p99Microseconds = Trips.quantile(sorted, 99)
            mostMicroseconds = sorted.last
        }

        /// The least value that the given percentage of all values do not exceed.
        private static func quantile(_ sorted: [Int64], _ percent: Int) -> Int64? {
            guard !sorted.isEmpty else { return nil }
            return sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]
        }

        var text: String {
            let lost = "\(max(0, sent - received)) of \(sent) lost"
            guard let p50Microseconds, let p99Microseconds else { return lost }
            let times = [p50Microseconds, p99Microseconds].map { Units.roundTrip(microseconds: $0) }
            return "round trip p50 \(times[0]), p99 \(times[1]); \(lost)"
        }
    }

    /// One direction under load.
    struct Way: Codable, Equatable {
        /// The bytes that TCP delivered to the far end.
        var bytes: Int
        var milliseconds: Int
        var bitsPerSecond: Int
        /// Segments that TCP retransmitted.
        var retransmits: Int
        /// At the same time.
        var trips: Trips

        init(bytes: Int, seconds: Double, retransmits: Int, trips: Trips) {
            self.bytes = bytes
            milliseconds = Int(seconds * 1000)
            bitsPerSecond = seconds > 0 ? Int(Double(bytes) * 8 / seconds) : 0
            self.retransmits = retransmits
            self.trips = trips
        }

        var text: String {
            "\(Units.rate(bitsPerSecond: Double(bitsPerSecond))) over \(Units.thousandths(Int64(milliseconds)))s, "
                + "\(retransmits) segments retransmitted; \(trips.text)"
        }
    }

    var node: NodeID
    var name: String?
    var address: IPAddress
    var streams: Int
    var udpBytes: Int
    /// Before anything else was sent.
    var idle: Trips
    /// From this node to the peer.
    var there: Way
    var back: Way
}
