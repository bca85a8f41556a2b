import EventLoop
import Glibc
import Wire

/// A piece of a worker's log.
package struct LogChunk: Hashable, Sendable {
    /// The offset of the first byte; later than requested where the files that held it are deleted.
    package private(set) var offset: Int64
    package private(set) var bytes: [UInt8]
    /// Where to continue.
    package private(set) var nextOffset: Int64
    /// The worker has ended, and there is no more than this.
    package private(set) var isFinal: Bool
}
