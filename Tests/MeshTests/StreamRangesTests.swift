import Base
import Testing

@testable import Mesh

@Suite struct StreamRangesTests {
    @Test(arguments: UInt64(1)...20)
    func `ranges hold what a table of booleans holds`(seed: UInt64) {
        var random = Random(Seed(seed))
        var ranges = NumberRanges()
        var model = [Bool](repeating: false, count: 200)
        for _ in 0..<500 {
            let start = random.index(below: 200), end = start + random.index(below: 201 - start)
            let range = UInt64(start)..<UInt64(end)
            switch random.index(below: 8) {
            case 0...3:
                let before = ranges.count, growth = ranges.growth(inserting: range)
                ranges.insert(range)
                #expect(ranges.count - before == growth)
                for index in start..<end { model[index] = true }
            case 4, 5:
                ranges.remove(range)
                for index in start..<end { model[index] = false }
            case 6:
                let bound = random.index(below: 60)
                ranges.removeBelow(UInt64(bound))
                for index in 0..<bound { model[index] = false }
            default:
                var gaps: [Int] = []
                ranges.forEachGap(in: range) { gaps += $0.map(Int.init) }
                #expect(gaps == (start..<end).filter { !model[$0] })
            }
            #expect((0..<200).map { ranges.contains(UInt64($0)) } == model)
            for (a, b) in zip(ranges.ranges, ranges.ranges.dropFirst()) { #expect(a.upperBound < b.lowerBound) }
        }
    }

    @Test func `the cube root is the integer below it`() {
        for value: UInt64 in [0, 1, 7, 8, 26, 27, 999_999_999, 1_000_000_000, .max] {
            let root = cubeRoot(value)
            #expect(root * root * root <= value)
            let above = (root + 1).multipliedReportingOverflow(by: (root + 1) * (root + 1))
            #expect(above.overflow || above.partialValue > value)
        }
        #expect(cubeRoot(.max) == 2_642_245)
    }
}
