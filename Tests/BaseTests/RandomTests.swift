import Base
import Testing

@Suite struct RandomTests {
    @Test func `one seed gives one sequence`() {
        var a = Random(Seed(7)), b = Random(Seed(7)), c = Random(Seed(8))
        let first = (0..<100).map { _ in a.next() }
        #expect(first == (0..<100).map { _ in b.next() })
        #expect(first != (0..<100).map { _ in c.next() })
    }

    /// First outputs of xoshiro256** from the state 1, 2, 3, 4, computed by the authors' C code.
    @Test func `the generator is xoshiro256**`() {
        var random = Random(Seed(1, 2, 3, 4))
        #expect((0..<4).map { _ in random.next() } == [11520, 0, 1_509_978_240, 1_215_971_899_390_074_240])
    }

    @Test func `bounds are kept and reached`() {
        var random = Random(Seed(1))
        var seen = [Int](repeating: 0, count: 10)
        for _ in 0..<10_000 { seen[random.index(below: 10)] += 1 }
        #expect(seen.allSatisfy { (800...1200).contains($0) })
        for _ in 0..<1000 { #expect((-3...3).contains(random.next(in: -3...3))) }
    }

    @Test func `jitter stays within its share`() {
        var random = Random(Seed(2))
        for _ in 0..<1000 {
            let jittered = random.jittered(.seconds(1), percent: 25)
            #expect((Interval.milliseconds(750)...Interval.milliseconds(1250)).contains(jittered))
        }
    }

    @Test func `a shuffle keeps every element`() {
        var random = Random(Seed(3)), deck = Array(0..<52)
        random.shuffle(&deck)
        #expect(deck.sorted() == Array(0..<52) && deck != Array(0..<52))
    }
}
