import Base
import SwiftProtobuf

/// A value that protobuf writes and reads; `decoded` checks every bound.
protocol Convertible {
    associatedtype Proto: SwiftProtobuf.Message
    init(_ proto: Proto) throws(DecodeError)
    var proto: Proto { get }
}

extension Convertible {
    init(decoding bytes: [UInt8], limit: Int = Limits.controlMessageBytes, _ what: String) throws(DecodeError) {
        guard bytes.count <= limit else { throw DecodeError(.tooLong, what, at: 0) }
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        let proto: Proto
        do { proto = try Proto(serializedBytes: bytes, options: options) } catch { throw invalid(what) }
        try self.init(proto)
    }

    func encoded() -> [UInt8] {
        // proto3 has no required fields, and all messages are far smaller than protobuf's 2 GiB, so this cannot fail.
        try! proto.serializedBytes()
    }

    /// A digest of the encoded value, for 'has this changed?'.
    var fingerprint: UInt64 {
        var digest = Fingerprint()
        digest.combine(encoded())
        return digest.value
    }
}
