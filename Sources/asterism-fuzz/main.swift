import ArgumentParser
import Base
import Foundation
import Fuzz
import Glibc

/// Throws datagrams at endpoints, a controller and an agent in this process.
struct Options: ParsableArguments {
    @Option(help: "Datagrams in all.") var iterations = 100_000
    @Option(help: "What everything is drawn from.") var seed: UInt64 = 1
    @Option(help: "The first round; with one round's iterations, what repeats a failure.") var round: UInt64 = 0
    @Option(help: "Datagrams in a round, which begins with a fresh fleet.") var perRound = 20_000
    @Option(help: "A folder of kept inputs: thrown first, and written to with --keep.") var corpus: String?
    @Flag(help: "Write inputs of classes that the folder lacks.") var keep = false
    @Option(help: "Instead: messages that the accelerated AES-GCM and libsodium's are to seal and open alike.")
    var aesGCM: UInt64?
    @Option(help: "Instead: packets, sealed datagrams and junk for the data plane.") var packets: UInt64?
    @Flag(help: "Report each datagram before it is thrown.") var trace = false
}

let options = Options.parseOrExit()
let begin = ContinuousClock.now

/// Resident memory in bytes (proc(5), statm: the second figure, in pages).
func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
    let words = text.split(separator: " ")
    return words.count > 1 ? (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
}

func seconds() -> Double {
    let taken = (ContinuousClock.now - begin).components
    return Double(taken.seconds) + Double(taken.attoseconds) / 1e18
}

func stop(_ violation: Round.Violation, _ number: UInt64) -> Never {
    printLine("FAILED seed \(options.seed) round \(number) iteration \(violation.iteration): \(violation.description)")
    printLine(
        "again: asterism-fuzz --seed \(options.seed) --round \(number) --per-round \(options.perRound) "
            + "--iterations \(violation.iteration) --trace")
    exit(129)
}

func load(_ folder: String) -> [Kept] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(".hex") }.sorted().compactMap { name in
        guard let text = try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8) else { return nil }
        return Kept(file: name, text: text)
    }
}

if let count = options.packets { throwPackets(count, seed: options.seed) }
if let count = options.aesGCM { compareCiphers(count, seed: options.seed) }

var tally = Tally()
let known = options.corpus.map(load) ?? []
if !known.isEmpty {
    let round = Round(seed: options.seed, number: .max)
    do throws(Round.Violation) {
        for kept in known { try round.replay(kept) }
    } catch { stop(error, .max) }
    printLine("\(known.count) kept inputs replayed")
}
var number = options.round
var done = 0
var firstResident = 0
while done < options.iterations {
    let round = Round(seed: options.seed, number: number, tally: tally)
    if options.trace {
        round.watcher = { iteration, what, bytes in printLine("\(iteration) \(what) \(bytes.hex)") }
    }
    let count = min(options.perRound, options.iterations - done)
    do throws(Round.Violation) { try round.run(count) } catch { stop(error, number) }
    tally = round.tally
    done += count
    number += 1
    if number % 25 == 0 || done == options.iterations {
        let resident = residentBytes()
        if firstResident == 0 { firstResident = resident }
        printLine(
            "round \(number): \(done) datagrams, \(Int(Double(done) / seconds()))/s, "
                + "\(resident >> 20) MiB resident")
        guard resident < firstResident + (256 << 20) else {
            printLine("FAILED: memory grew from \(firstResident >> 20) to \(resident >> 20) MiB")
            exit(129)
        }
    }
}
for line in tally.lines { printLine(line) }
printLine("clean: \(done) datagrams in \(Int(seconds())) s, seed \(options.seed)")
if options.keep, let folder = options.corpus {
    let names = Set(known.map(\.name))
    for kept in tally.kept where !names.contains(kept.name) {
        try kept.text.write(toFile: "\(folder)/\(kept.name).hex", atomically: true, encoding: .utf8)
    }
}
