/// Numbers the requests of one driver, so that answers find who asked.
package struct RequestID: Hashable, Comparable, Sendable {
    package let value: UInt64

    package init(_ value: UInt64) { self.value = value }

    package static func < (a: RequestID, b: RequestID) -> Bool { a.value < b.value }
}
