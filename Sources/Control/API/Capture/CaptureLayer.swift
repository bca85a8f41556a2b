package enum CaptureLayer: String, Hashable, Sendable, Codable, CaseIterable {
    /// IP packets of the overlay, in clear.
    case inner
    /// Datagrams of the mesh, sealed.
    case outer
}
