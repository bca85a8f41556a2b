import Base
import Noise
import Testing

@Suite struct ReplayWindowTests {
    @Test func `a counter is accepted once`() {
        var window = ReplayWindow()
        for counter: UInt64 in [0, 1, 63, 64, 2, 8191, 3, 8192, 8193, 1_000_000, (1 << 60) - 1] {
            check(window.wouldAccept(counter))
            check(window.accept(counter))
            check(!window.wouldAccept(counter))
            check(!window.accept(counter))
        }
    }

    @Test func `the window is 8192 counters wide, wherever the highest stands`() {
        for highest in (100_000 as UInt64)..<100_000 + 130 {
            var window = ReplayWindow()
            check(window.accept(highest))
            check(!window.accept(highest - 8192))
            check(window.accept(highest - 8191))
            check(!window.accept(highest - 8191))
        }
    }

    @Test func `a window that has rested takes nothing of before, and goes on`() {
        var window = ReplayWindow()
        window.rest()
        check(window.accept(0) && window.accept(500))
        window.rest()
        for counter: UInt64 in [0, 1, 499, 500] { check(!window.wouldAccept(counter) && !window.accept(counter)) }
        check(window.accept(600) && window.accept(501) && window.accept(599))
        check(!window.accept(501) && !window.accept(600) && !window.accept(500))
        window.rest()
        check(!window.accept(550) && window.accept(601) && !window.accept(601))
    }

    @Test func `asking changes nothing`() {
        var window = ReplayWindow()
        check(window.accept(10))
        for _ in 0..<3 { check(window.wouldAccept(1 << 40) && window.wouldAccept(9) && !window.wouldAccept(10)) }
        check(window.accept(9) && window.accept(0))
    }

    /// The rule itself: every accepted counter is remembered.
    private struct Model {
        var seen: Set<UInt64> = []
        var highest: UInt64?

        mutating func accept(_ counter: UInt64) -> Bool {
            if let highest, counter <= highest, highest - counter >= ReplayWindow.size { return false }
            guard seen.insert(counter).inserted else { return false }
            highest = max(highest ?? 0, counter)
            return true
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>) func `the ring agrees with a set that forgets nothing`(seed: UInt64) {
        var random = Random(Seed(seed)), window = ReplayWindow(), model = Model(), differences: [UInt64] = []
        var center: UInt64 = seed % 4 == 0 ? 0 : random.next(below: 1 << 59), accepted = 0
        for _ in 0..<20_000 {
            let counter: UInt64
            switch random.next(below: 100) {
            case 0..<60:
                // In order, with losses.
                center += 1 + (random.chance(1, in: 10) ? random.next(below: 200) : 0)
                counter = center
            case 60..<85: counter = center - min(center, random.next(below: 300))
            case 85..<97: counter = center - min(center, 8000 + random.next(below: 400))
            case 97: counter = random.next(below: center + 1)
            default:
                center += random.next(below: 20_000)
                counter = center
            }
            let expected = model.accept(counter), would = window.wouldAccept(counter)
            if window.accept(counter) != expected || would != expected { differences.append(counter) }
            accepted += expected ? 1 : 0
        }
        check(differences.isEmpty)
        check((8000..<19_500).contains(accepted), "the mix should hold both kinds: \(accepted) of 20000 accepted")
    }
}
