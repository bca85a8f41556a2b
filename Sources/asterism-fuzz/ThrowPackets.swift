import Fuzz
import Glibc

/// Ends the process: 0 if the data plane has kept its laws, 129 if not. Every million inputs has a seed of its own, from
/// `seed` on.
func throwPackets(_ count: UInt64, seed: UInt64) -> Never {
    let part: UInt64 = 1_000_000
    var done: UInt64 = 0, sent: UInt64 = 0, delivered: UInt64 = 0
    for number in 0..<(count + part - 1) / part {
        var fuzz = PlaneFuzz(seed: seed + number)
        do throws(PlaneFuzz.Complaint) {
            try fuzz.run(min(part, count - done))
        } catch {
            printLine("FAILED seed \(seed + number) input \(error.input): \(error.description)")
            printLine("again: asterism-fuzz --packets \(error.input + 1) --seed \(seed + number)")
            exit(129)
        }
        done += fuzz.done
        sent += fuzz.sent
        delivered += fuzz.delivered
        printLine("\(done) inputs, \(Int(Double(done) / seconds()))/s")
    }
    printLine(
        "clean: \(done) inputs, \(sent) datagrams sent and opened, \(delivered) packets delivered, "
            + "in \(Int(seconds())) s, seeds from \(seed)")
    exit(0)
}
