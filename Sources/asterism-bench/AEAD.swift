import ArgumentParser
import Noise

/// Sealing and opening of one packet, out of place as the packet path does it, by each implementation in turn.
struct AEAD: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aead", abstract: "Seals and opens packets with each cipher.",
        discussion: """
            Nanoseconds a packet, with 16 bytes of AAD: the best of the rounds, in which the ciphers take turns, so that \
            what else the machine does meets all of them. In brackets: how many times as fast as the first, \
            libsodium's AES where the processor has it.
            """)

    @Option(help: "Bytes in a packet; may be given several times.") var size = [64, 1400, 8192]
    @Option(help: "Rounds, in each of which every cipher has its turn.") var rounds = 40
    @Option(help: "Milliseconds of one turn.") var turn = 5

    func validate() throws {
        if size.contains(where: { !(0...65_507).contains($0) }) {
            throw ValidationError("--size must be from 0 to 65507.")
        }
        if !(1...10_000).contains(rounds) { throw ValidationError("--rounds must be from 1 to 10000.") }
        if !(1...1000).contains(turn) { throw ValidationError("--turn must be from 1 to 1000.") }
    }

    func run() throws {
        let begin = ContinuousClock.now
        let isAccelerated = CipherAcceleration.auto.isEffective
        let tested = ContinuousClock.now - begin
        var contenders: [Contender] = []
        if Cipher.aesGCM.isAvailable { contenders.append(Contender("libsodium AES-256-GCM", .aesGCM, .off)) }
        if isAccelerated { contenders.append(Contender("VAES AES-256-GCM", .aesGCM, .auto)) }
        contenders.append(Contender("libsodium ChaCha20-Poly1305", .chaChaPoly, .off))
        print("AES-256-GCM in this process: \(CipherAcceleration.describe()); found out in \(tested)")
        for size in size {
            for isSealing in [true, false] {
                var best = [Double](repeating: .infinity, count: contenders.count)
                for _ in 0..<rounds {
                    for (index, contender) in contenders.enumerated() {
                        let taken = contender.measure(size, isSealing: isSealing, .milliseconds(turn))
                        best[index] = min(best[index], taken)
                    }
                }
                for (contender, taken) in zip(contenders, best) {
                    print(line(isSealing ? "seal" : "open", size, contender.name, taken, best[0]))
                }
            }
        }
    }

    private func line(_ step: String, _ size: Int, _ name: String, _ taken: Double, _ reference: Double) -> String {
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        let ratio = (reference / taken * 100).rounded() / 100
        return "\(step) \(right("\(size)", 5)) B \(right(name, 28)) \(right(tenths(taken), 8)) ns "
            + "\(right(tenths(Double(size) / taken), 5)) GB/s  (\(ratio))"
    }
}

/// A cipher with a key, and a packet.
final class Contender {
    let name: String
    private let key: CipherKey
    private let nonce: Nonce
    private let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 64)
    private let sealed = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536 + Cipher.tagCount, alignment: 64)
    private let aad = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)

    init(_ name: String, _ cipher: Cipher, _ acceleration: CipherAcceleration) {
        self.name = name
        key = CipherKey(cipher, key: SecretBytes((0..<32).map { UInt8($0) }), acceleration: acceleration)
        nonce = Nonce(7, for: cipher)
        for memory in [plain, sealed, aad] { memory.initializeMemory(as: UInt8.self, repeating: 1) }
    }

    deinit { for memory in [plain, sealed, aad] { memory.deallocate() } }

    /// Nanoseconds a packet.
    func measure(_ count: Int, isSealing: Bool, _ turn: Duration) -> Double {
        let aad = UnsafeRawBufferPointer(aad), plain = plain.baseAddress!, sealed = sealed.baseAddress!
        key.seal(from: plain, count: count, to: sealed, nonce: nonce, aad: aad)
        let clock = ContinuousClock(), begin = clock.now
        var packets = 0, taken = Duration.zero
        repeat {
            for _ in 0..<64 {
                if isSealing {
                    key.seal(from: plain, count: count, to: sealed, nonce: nonce, aad: aad)
                } else {
                    let isAuthentic = key.open(from: sealed, count: count, to: plain, nonce: nonce, aad: aad)
                    precondition(isAuthentic, "\(name) refuses what it sealed")
                }
            }
            packets += 64
            taken = clock.now - begin
        } while taken < turn
        return taken / .nanoseconds(1) / Double(packets)
    }
}
