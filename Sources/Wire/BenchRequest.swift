package import Base

/// # One node asks another to be measured
///
/// It is sent on a separate stream that holds only these eight bytes:
///
/// ```
/// request    "bench 1" 7 | seconds 1
/// answer     "bench 1" 7 | result 1 | if that is 0: family 1 (4 or 6) | TCP port 2 | UDP port 2 | token 16
/// ```
///
/// The answer names a server that listens for that many seconds at the answering node's overlay address of that family.
/// The asking node takes that address from the certificate only. Every client that shows the token is served.
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
