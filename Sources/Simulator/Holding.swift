import Control
import Wire

struct Holding {
    var what: String
    var count: Int
    var limit: Int

    /// Sessions are with the fleet's machines and a limited number of unauthenticated peers; and one control stream is in use
    /// with each peer, while others may be about to close.
    static func of(_ peers: [PeerView], machines: Int) -> [Holding] {
        [
            Holding(what: "sessions", count: peers.count, limit: machines + Limits.anonymousSessions),
            Holding(what: "streams of one session", count: peers.map(\.openStreams).max() ?? 0, limit: 8),
        ]
    }
}
