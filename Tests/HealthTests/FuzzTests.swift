import Base
import Foundation
import Health
import Testing
import Wire

/// Mutated documents must give a value or an error, in bounded time, and never a trap. Rounds a suite come from
/// ASTERISM_FUZZ_ROUNDS; without it a few thousand keep the tests quick.
@Suite struct FuzzTests {
    private let rounds = ProcessInfo.processInfo.environment["ASTERISM_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 2000

    /// One to eight edits: a byte changed, a piece cut out, doubled, or cut off at the end, or a word of the format put in.
    private func mutated(_ bytes: [UInt8], _ words: [[UInt8]], _ random: inout Random) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.index(below: 8) {
            guard !bytes.isEmpty else { return bytes }
            let at = random.index(below: bytes.count)
            let length = min(bytes.count - at, random.index(below: 40))
            switch random.index(below: 6) {
            case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes[at] ^= 1 << UInt8(random.index(below: 8))
            case 2: bytes.removeSubrange(at..<at + length)
            case 3: bytes.insert(contentsOf: Array(bytes[at..<at + length]), at: at)
            case 4: bytes.insert(contentsOf: words[random.index(below: words.count)], at: at)
            default: if random.chance(1, in: 4) { bytes.removeSubrange(at...) }
            }
        }
        return bytes
    }

    @Test func `mutated nvidia-smi reports never trap`() throws {
        let seeds = try ["gtx-1070-ti", "openpai-nvidia_smi_outdated_gpu"].map {
            try Fixtures.bytes("nvidia/xml/\($0).xml")
        }
        let words = [
            "<", ">", "</", "/>", "<!--", "-->", "<![CDATA[", "]]>", "&#x110000;", "&#xd800;", "&#-1;", "<gpu>",
            "</gpu>",
            "<process_name>", "ERR!", "GPU is lost 0000:01:00.0", "99999999999999999999 MiB", "-", ".", "<?xml",
            "<minor_number>9223372036854775807</minor_number>", "<!DOCTYPE [", "\u{0}", "\u{feff}",
            "<ecc_errors><volatile><single_bit><total>9223372036854775807</total></single_bit></volatile></ecc_errors>",
            "<ecc_errors><volatile><dram_correctable>9223372036854775807</dram_correctable></volatile></ecc_errors>",
        ].map { Array($0.utf8) }
        var random = Random(Seed(0x6e76_6964_6961))
        var read = 0
        for round in 0..<rounds {
            do {
                expectSane(try NvidiaSMI.parse(mutated(seeds[round & 1], words, &random)), "round \(round)")
                read += 1
            } catch {
                #expect(error.offset >= 0 && !error.description.isEmpty)
            }
        }
        #expect(read > 0 && read < rounds, "mutations that are all read or all refused test nothing")
    }

    @Test func `mutated contract documents and traces never trap`() throws {
        let document = try Fixtures.bytes("accelerators/exec/good/full.json")
        let trace = try Fixtures.bytes("replay/good/card-dies.jsonl")
        let words = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud83d", "null", "true", "-", "1e9999999999", "0.", "é",
            "18446744073709551616", "\"index\":", "\"verdict\":\"", "\n", "\u{0}", "-9223372036854775808", "e",
        ].map { Array($0.utf8) }
        var random = Random(Seed(0x6a73_6f6e))
        var read = 0
        for round in 0..<rounds {
            do throws(HealthError) {
                if round & 1 == 0 {
                    let status = Int32(random.index(below: 4))
                    expectSane(
                        try AcceleratorContract.parse(mutated(document, words, &random), exitStatus: status), "\(round)"
                    )
                } else {
                    let trace = try ReplayTrace(parsing: mutated(trace, words, &random))
                    expectSane(trace.devices(at: .seconds(61)), "\(round)")
                }
                read += 1
            } catch {
                #expect(error.offset >= 0 && !error.description.isEmpty)
            }
        }
        #expect(read > 0 && read < rounds)
    }

    @Test func `mutated kernel files never trap`() throws {
        let paths = ["stat", "loadavg", "meminfo", "cpuinfo", "pressure/io", "pressure/irq", "self/mountinfo"]
        var files = try paths.map { try Fixtures.bytes("host/node_exporter/proc/\($0)") }
        files[3] = Array(files[3].prefix(1500))
        let words = [
            "\\", "\\777", " ", "-", " - ", "9223372036854775807", "18446744073709551616", ":", "\n", "cpu", "=",
        ]
        .map { Array($0.utf8) }
        var random = Random(Seed(0x7072_6f63))
        let machine = try Machine()
        for folder in ["proc/pressure", "proc/self"] { try machine.makeFolder(folder) }
        var probe = HostProbe(root: machine.root, disksEvery: .zero)
        // Files are written to a disk and read back, so this suite runs a tenth of the rounds.
        for round in 0..<max(100, rounds / 10) {
            for (path, file) in zip(paths, files) {
                try Data(mutated(file, words, &random)).write(to: URL(filePath: "\(machine.root)/proc/\(path)"))
            }
            let status = probe.sample(now: .seconds(Int64(round) * 100))
            #expect((0...1000).contains(status.processorUsePermille ?? 0))
            #expect(status.disks.count <= Limits.disksPerNode)
        }
    }

    @Test func `random bytes never trap`() {
        var random = Random(Seed(0x7261_6e64))
        let alphabet = Array("<>/!?-[]{}\"':,.\\&#;=eE+0123456789abgpu \n\t\u{0}".utf8) + [0xff, 0xc3]
        for _ in 0..<rounds {
            let bytes = (0..<random.index(below: 200)).map { _ in alphabet[random.index(below: alphabet.count)] }
            let report = Array("<nvidia_smi_log><gpu>".utf8) + bytes
            #expect(throws: HealthError.self) { try AcceleratorContract.parse(bytes, exitStatus: 0) }
            _ = try? NvidiaSMI.parse(report)
            _ = try? ReplayTrace(parsing: bytes)
        }
    }
}
