/// Numbers the requests of one driver, so that each answer is matched with its request.
package struct RequestID: Hashable, Comparable, Sendable {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value }

    package static func < (a: RequestID, b: RequestID) -> Bool { a.value < b.value }
}
