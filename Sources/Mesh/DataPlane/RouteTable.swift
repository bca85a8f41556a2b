/// Which route an overlay address has: open addressing in one block of memory, so that a lookup costs one cache line.
/// Addresses come from certificates that the fleet's authority has signed; an unauthenticated peer cannot fill a chain.
struct RouteTable: ~Copyable {
    private struct Slot {
        var key: OverlayKey
        /// -1 where free.
        var route: Int32
    }
    private var slots: UnsafeMutablePointer<Slot>
    private var mask: Int
    private(set) var count = 0

    init(capacity: Int = 64) {
        precondition(capacity & (capacity - 1) == 0, "a power of two")
        slots = RouteTable.empty(capacity)
        mask = capacity - 1
    }

    deinit { slots.deallocate() }

    private static func empty(_ capacity: Int) -> UnsafeMutablePointer<Slot> {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
        slots.initialize(repeating: Slot(key: OverlayKey(high: 0, low: 0), route: -1), count: capacity)
        return slots
    }

    @inline(__always)
    private func home(_ key: OverlayKey) -> Int {
        Int(truncatingIfNeeded: ((key.high ^ key.low &* 0x9e37_79b9_7f4a_7c15) &* 0xff51_afd7_ed55_8ccd) >> 32) & mask
    }

    @inline(__always)
    subscript(key: OverlayKey) -> Int32? {
        var index = home(key)
        while slots[index].route >= 0 {
            if slots[index].key == key { return slots[index].route }
            index = (index + 1) & mask
        }
        return nil
    }

    mutating func set(_ key: OverlayKey, to route: Int32) {
        if count * 2 > mask { grow() }
        var index = home(key)
        while slots[index].route >= 0, slots[index].key != key { index = (index + 1) & mask }
        if slots[index].route < 0 { count += 1 }
        slots[index] = Slot(key: key, route: route)
    }

    /// Removes the address if it has that route.
    mutating func remove(_ key: OverlayKey, of route: Int32) {
        var index = home(key)
        while slots[index].route >= 0, slots[index].key != key { index = (index + 1) & mask }
        guard slots[index].route == route else { return }
        slots[index].route = -1
        count -= 1
        // The entries after it may have been displaced by it.
        var next = (index + 1) & mask
        while slots[next].route >= 0 {
            let moved = slots[next]
            slots[next].route = -1
            count -= 1
            set(moved.key, to: moved.route)
            next = (next + 1) & mask
        }
    }

    private mutating func grow() {
        let old = slots, oldCount = mask + 1
        slots = RouteTable.empty(oldCount * 2)
        mask = oldCount * 2 - 1
        count = 0
        for index in 0..<oldCount where old[index].route >= 0 { set(old[index].key, to: old[index].route) }
        old.deallocate()
    }
}
