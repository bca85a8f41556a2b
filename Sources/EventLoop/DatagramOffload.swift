import Base
import CLinux
import Glibc

/// Trains of datagrams by one call each (udp(7), UDP_SEGMENT and UDP_GRO).
enum DatagramOffload {
    /// SOL_UDP.
    static let level: Int32 = 17
    static let segment: Int32 = 103
    static let gro: Int32 = 104
}
