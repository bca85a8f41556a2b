package import Base

/// A server that the shell is to run.
package struct BenchService: Hashable, Sendable {
    package var number: UInt64
    package let address: IPAddress
    package let seconds: Int64

    package init(number: UInt64, address: IPAddress, seconds: Int64) {
        self.number = number
        self.address = address
        self.seconds = seconds
    }
}
