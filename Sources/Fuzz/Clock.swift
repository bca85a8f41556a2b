import Base
import Control
import Mesh
import OrderedCollections
import Wire

/// The wall clock of a round, which runs with its virtual time.
struct Clock {
    static let start = UnixTime(seconds: 1_800_000_000)
    func wall(_ now: Instant) -> UnixTime { Clock.start + (now - Instant(nanoseconds: 1_000_000_000)) }
}
