package import Base

/// # One node asks another to be measured
///
/// On a stream of its own, that begins with these eight bytes and is then at its end:
///
/// ```
/// request    "bench 1" 7 | seconds 1
/// answer     "bench 1" 7 | result 1 | if that is 0: family 1 (4 or 6) | TCP port 2 | UDP port 2 | token 16
/// ```
///
/// The answer is a server that listens for so many seconds at the answerer's overlay address of that family, which the
/// asker knows from the certificate and never from here. Anyone who shows the token is served.
package struct BenchRequest: Hashable, Sendable {
    package static let size = 8
    static let magic = Array("bench 1".utf8)

    /// 1 to `Limits.benchSeconds`.
    package var seconds: UInt8

    package init(seconds: UInt8) { self.seconds = seconds }

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        try BenchRequest.readMagic(&reader)
        seconds = try reader.uint8("seconds")
        guard (1...Limits.benchSeconds).contains(Int(seconds)) else {
            throw DecodeError(.invalidValue, "seconds", at: reader.offset)
        }
        try reader.expectEnd("bench request")
    }

    package func encoded() -> [UInt8] { BenchRequest.magic + [seconds] }

    static func readMagic(_ reader: inout ByteReader) throws(DecodeError) {
        guard try reader.bytes(magic.count, "magic") == magic else { throw DecodeError(.invalidValue, "magic", at: 0) }
    }
}
