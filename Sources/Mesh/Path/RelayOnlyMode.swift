import Wire

/// A person's order that data is sent over relays only (`asterism debug`): direct addresses are set aside until it ends.
struct RelayOnlyMode: Sendable {
    /// Direct addresses that are not used; `nil` where there is no such order.
    private(set) var setAside: [PathAddress]?

    var isOn: Bool { setAside != nil }

    mutating func begin(settingAside addresses: [PathAddress]) { setAside = addresses }

    /// Returns what was set aside; `nil` where there was no such order.
    mutating func end() -> [PathAddress]? {
        defer { setAside = nil }
        return setAside
    }

    /// Whether an address is kept for later instead.
    mutating func holds(_ address: PathAddress) -> Bool {
        guard let known = setAside, !address.isRelayed else { return false }
        if !known.contains(address), known.count < Limits.addressesPerPeer { setAside?.append(address) }
        return true
    }
}
