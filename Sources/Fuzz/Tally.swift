import Base
import Mesh
import OrderedCollections
import Wire

/// What a run has reached, by variant and outcome: counters that approximate coverage.
package struct Tally: Sendable {
    package var iterations = 0
    package var handshakes = 0
    package var sessions = 0
    package var sessionsEnded = 0
    package private(set) var kept: [Kept] = []
    private var changes = [Int](repeating: 0, count: Mutator.Change.allCases.count)
    private var outsides = [Int](repeating: 0, count: 256 * 32)
    private var insides = [Int](repeating: 0, count: 3 * 2 * 32)
    private var messages = [Int](repeating: 0, count: 256)
    private var classes = OrderedSet<UInt64>()
    private static let keptBytes = 1400

    package init() {}

    mutating func count(_ change: Mutator.Change) {
        changes[Mutator.Change.allCases.firstIndex(of: change)!] += 1
    }

    private static func number(_ outcome: Outcome) -> Int {
        guard let reason = outcome.reason else { return outcome.answers > 0 ? 31 : 30 }
        return DropReason.allCases.firstIndex(of: reason)!
    }
    private static func name(_ number: Int) -> String {
        number == 31 ? "answered" : number == 30 ? "accepted" : DropReason.allCases[number].rawValue
    }

    mutating func outside(_ bytes: [UInt8], _ outcome: Outcome) {
        let kind = Int(min(bytes.first ?? 0, 5)), number = Tally.number(outcome)
        outsides[kind * 32 + number] += 1
        keep(.outside, "\(kind)-\(Tally.name(number))", 1 << 32 | UInt64(kind * 32 + number), bytes)
    }

    mutating func handshake(_ bytes: [UInt8], _ outcome: Outcome) {
        let number = Tally.number(outcome)
        outsides[6 * 32 + number] += 1
        keep(.outside, "payload-\(Tally.name(number))", 1 << 33 | UInt64(number), bytes)
    }

    mutating func inside(_ plain: [UInt8], _ target: Int, isAlive: Bool, _ outcome: Outcome) {
        let number = target == 0 ? Tally.number(outcome) : 29
        insides[(target * 2 + (isAlive ? 1 : 0)) * 32 + number] += 1
        var reader = ByteReader(plain.span.bytes)
        guard (try? reader.varint("number")) != nil, let type = try? reader.uint8("type") else { return }
        // Types that are never read are one class.
        let shown = min(type, 0x30)
        let key = UInt64(shown) | UInt64(target) << 9 | (isAlive ? 256 : 0)
        keep(
            .inside, "\(["endpoint", "controller", "agent"][target])-type\(shown)-\(isAlive ? "alive" : "ended")",
            1 << 34 | key, plain)
    }

    mutating func message(_ bytes: [UInt8]) {
        let tag = bytes.first ?? 0
        messages[Int(tag)] += 1
        let isReadable = (try? ControlMessage(decoding: bytes)) != nil
        // A field's number and wire type make the tag of protobuf; refused ones are distinguished by the type.
        let shown = isReadable ? tag : tag & 7
        keep(
            .message, "\(isReadable ? "tag" : "refused")\(shown)",
            1 << 35 | UInt64(shown) << 1 | (isReadable ? 1 : 0), bytes)
    }

    private mutating func keep(_ variant: Kept.Variant, _ name: String, _ key: UInt64, _ bytes: [UInt8]) {
        guard !classes.contains(key), bytes.count <= Tally.keptBytes, kept.count < 190 else { return }
        classes.append(key)
        kept.append(Kept(variant: variant, name: "\(variant.rawValue)-\(name)", bytes: bytes))
    }

    /// Lines of `name count`.
    package var lines: [String] {
        var lines: [String] = []
        func add(_ name: String, _ count: Int) { if count > 0 { lines.append("\(name) \(count)") } }
        add("iterations", iterations)
        add("hostile sessions", sessions)
        add("hostile sessions ended by the target", sessionsEnded)
        for (change, count) in zip(Mutator.Change.allCases, changes) { add("change \(change.rawValue)", count) }
        for (index, count) in outsides.enumerated() where count > 0 {
            add("outside kind \(index / 32 == 6 ? "payload" : "\(index / 32)") \(Tally.name(index % 32))", count)
        }
        for (index, count) in insides.enumerated() where count > 0 {
            let target = ["endpoint", "controller", "agent"][index / 64]
            let outcome = index % 32 == 29 ? "" : " " + Tally.name(index % 32)
            add("inside \(target) session \(index / 32 % 2 == 1 ? "lives" : "ended")\(outcome)", count)
        }
        for (tag, count) in messages.enumerated() { add("message tag \(tag)", count) }
        return lines
    }
}
