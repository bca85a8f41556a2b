import Base
import Noise
import Wire

/// Datagrams of kinds 8 and 9.
struct BindMessage: Hashable {
    let allocation: UInt32
    let number: UInt64
    let challenge: [UInt8]

    static let none = [UInt8](repeating: 0, count: BindChallenger.challengeCount)

    init(allocation: UInt32, number: UInt64, challenge: [UInt8]) {
        self.allocation = allocation
        self.number = number
        self.challenge = challenge
    }

    init?(_ datagram: [UInt8]) {
        guard datagram.count == DatagramHeader.bindLength else { return nil }
        var reader = ByteReader(datagram.span.bytes)
        do throws(DecodeError) {
            try reader.skip(4, "header")
            allocation = try reader.uint32("allocation")
            number = try reader.uint64("number")
            challenge = try reader.bytes(BindChallenger.challengeCount, "challenge")
        } catch { return nil }
    }

    func encoded(_ kind: DatagramKind, key: BindKey) -> [UInt8] {
        var writer = ByteWriter(reserving: DatagramHeader.bindLength)
        (kind == .bind ? DatagramHeader.bind(allocation: allocation) : .bindAnswer(allocation: allocation)).write(
            to: &writer)
        writer.uint64(number)
        writer.append(challenge)
        writer.append(key.mac(of: writer.bytes))
        return writer.bytes
    }
}
