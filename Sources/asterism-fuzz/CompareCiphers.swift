import Fuzz
import Glibc

/// Ends the process: 0 if all messages came out alike or this processor has nothing to compare, 129 if not.
func compareCiphers(_ count: UInt64, seed: UInt64) -> Never {
    guard var fuzz = CipherFuzz(seed: seed) else {
        printLine("skipped: AES-GCM is \(CipherFuzz.implementation) here")
        exit(0)
    }
    let part: UInt64 = 1_000_000
    while fuzz.done < count {
        do throws(CipherFuzz.Difference) {
            try fuzz.run(min(part, count - fuzz.done))
        } catch {
            printLine("FAILED seed \(seed) message \(error.message): \(error.description)")
            printLine("again: asterism-fuzz --aes-gcm \(error.message + 1) --seed \(seed)")
            exit(129)
        }
        printLine("\(fuzz.done) messages, \(Int(Double(fuzz.done) / seconds()))/s")
    }
    printLine(
        "clean: \(fuzz.done) messages of \(fuzz.bytes >> 20) MiB sealed and opened alike, \(fuzz.forged) forgeries "
            + "refused, in \(Int(seconds())) s, seed \(seed)")
    exit(0)
}
