package import Base

/// How long an unused mapping is kept.
package struct NATLifetime: Hashable, Sendable {
    /// It was still there after so long.
    package let atLeast: Interval
    /// It was gone after so long; `nil` where it outlived the longest wait.
    package let below: Interval?

    package init(atLeast: Interval, below: Interval?) {
        self.atLeast = atLeast
        self.below = below
    }
}
