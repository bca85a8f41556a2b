import Base
import Testing

@Suite struct InstantTests {
    @Test func `instants saturate instead of trapping`() {
        #expect(Instant.origin - .seconds(1) == .origin)
        #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: 5) - Instant(nanoseconds: 9) == .nanoseconds(-4))
    }

    @Test func `the earliest deadline wins and nil never comes`() {
        let soon = Deadline(Instant(nanoseconds: 1), "soon"), late = Deadline(Instant(nanoseconds: 2), "late")
        #expect(Deadline.earliest(late, soon) == soon)
        #expect(Deadline.earliest(nil, late) == late)
        #expect(Deadline.earliest(nil, nil) == nil)
    }

    @Test func `intervals print in the unit that reads best`() {
        #expect(Interval.milliseconds(1500).description == "1.5 s")
        #expect(Interval.microseconds(2).description == "2 us")
        #expect(Interval.nanoseconds(-1_250_000).description == "-1.25 ms")
        #expect(Interval.zero.description == "0 ns")
    }

    @Test func `wall time prints as RFC 3339`() {
        #expect(UnixTime(seconds: 0).description == "1970-01-01T00:00:00.000Z")
        #expect(UnixTime(milliseconds: 1_795_379_388_120).description == "2026-11-22T20:29:48.120Z")
        #expect(UnixTime(seconds: 951_782_400).description == "2000-02-29T00:00:00.000Z")
        #expect(UnixTime(milliseconds: -1).description == "1969-12-31T23:59:59.999Z")
    }
}
