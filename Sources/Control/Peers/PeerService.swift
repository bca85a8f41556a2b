/// What a stream between two agents is for: the first byte that its opener writes names the service. A feature that serves
/// peers registers for its byte by a case here, and by a line in each switch of `Agent+Streams.swift`.
enum PeerService: UInt8, Hashable, Sendable, CaseIterable {
    /// `BenchRequest`, which begins with a `b`.
    case throughput = 0x62
}
