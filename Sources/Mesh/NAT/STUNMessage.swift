package import Base

/// # A message of STUN (RFC 8489)
///
/// STUN informs a host how it is seen from outside. A request goes to a server, and the answer carries the source address
/// that the server saw. RFC 5780 adds attributes that request an answer from another address, or to another one. A message is
/// a header of 20 bytes and attributes, each padded to a multiple of four:
///
/// ```
///  0                   1                   2                   3
/// |0 0|  method and class         |  bytes after the header       |
/// |                     magic cookie 0x2112A442                   |
/// |              transaction id, 96 bits, chosen at random        |
/// |  type                         |  length                       |  an attribute
/// |  value, padded with whatever ...                              |
/// ```
///
/// The receiver must understand an attribute of a type below 0x8000; `unknownRequired` lists those that it does not.
/// FINGERPRINT is checked where it is present. This node asks without credentials, so MESSAGE-INTEGRITY is only skipped: all
/// attributes after it except FINGERPRINT are ignored, as section 14.5 requires.
package struct STUNMessage: Hashable, Sendable {
    package enum Class: UInt16, Hashable, Sendable, CaseIterable {
        case request, indication, success, error
    }

    /// 96 bits; the only identification of a transaction.
    package struct TransactionID: Hashable, Sendable {
        package let high: UInt32
        package let low: UInt64

        package init(high: UInt32, low: UInt64) {
            self.high = high
            self.low = low
        }
    }

    package enum Attribute: Hashable, Sendable {
        /// The sender's address as the server saw it, in clear, from servers of RFC 3489. Some routers rewrite bytes that
        /// look like one of their addresses, so the next attribute has priority.
        case mappedAddress(SocketAddress)
        /// The same, XORed (section 14.2).
        case xorMappedAddress(SocketAddress)
        /// 300 to 699, and a text for people (section 14.8).
        case errorCode(Int, String)
        /// Types that the server had to understand and did not.
        case unknownAttributes([UInt16])
        case software(String)
        /// The answer is to come from the server's other address, other port, or both (RFC 5780, section 7.2).
        case changeRequest(address: Bool, port: Bool)
        /// Where an answer with both changed comes from (section 7.4); also RFC 3489's CHANGED-ADDRESS.
        case otherAddress(SocketAddress)
        /// Where this answer was sent from (section 7.3).
        case responseOrigin(SocketAddress)
        /// The answer is to go to this port of the sender's address (section 7.5).
        case responsePort(UInt16)
        /// So many bytes without meaning (section 7.6).
        case padding(Int)
        /// Anything else, unread.
        case other(UInt16, [UInt8])
    }

    /// 12 bits; 1 is Binding.
    package let method: UInt16
    package var messageClass: Class
    package let transaction: TransactionID
    package var attributes: [Attribute]

    package static let binding: UInt16 = 1
    package static let cookie: UInt32 = 0x2112_a442
    static let headerBytes = 20
    /// Attributes that are read; real messages have ten.
    static let attributeLimit = 64
    private static let fingerprintMask: UInt32 = 0x5354_554e

    package init(
        _ messageClass: Class, method: UInt16 = STUNMessage.binding, _ transaction: TransactionID,
        _ attributes: [Attribute] = []
    ) {
        precondition(method < 1 << 12, "a method of \(method)")
        self.messageClass = messageClass
        self.method = method
        self.transaction = transaction
        self.attributes = attributes
    }
}

// MARK: - What a message states

extension STUNMessage {
    /// How the server saw the sender.
    package var mapped: SocketAddress? {
        for case .xorMappedAddress(let address) in attributes { return address }
        for case .mappedAddress(let address) in attributes { return address }
        return nil
    }
    package var otherAddress: SocketAddress? {
        for case .otherAddress(let address) in attributes { return address }
        return nil
    }
    package var software: String? {
        for case .software(let text) in attributes { return text }
        return nil
    }
    package var error: (code: Int, reason: String)? {
        for case .errorCode(let code, let reason) in attributes { return (code, reason) }
        return nil
    }

    /// Types that the receiver must understand (below 0x8000), and this reader does not. A request with one is answered
    /// with error 420, a response with one is discarded (section 6.3).
    package var unknownRequired: [UInt16] {
        attributes.compactMap { attribute in
            guard case .other(let type, _) = attribute, type < 0x8000 else { return nil }
            return STUNMessage.knownUnread.contains(type) ? nil : type
        }
    }

    /// Known and not used without credentials: USERNAME, MESSAGE-INTEGRITY, REALM, NONCE, MESSAGE-INTEGRITY-SHA256,
    /// PASSWORD-ALGORITHM, USERHASH; and of RFC 3489, where all is below 0x8000: RESPONSE-ADDRESS, SOURCE-ADDRESS,
    /// PASSWORD, REFLECTED-FROM.
    private static let knownUnread: [UInt16] = [
        0x0006, 0x0008, 0x0014, 0x0015, 0x001c, 0x001d, 0x001e, 0x0002, 0x0004, 0x0007, 0x000b,
    ]
}

// MARK: - Reading

extension STUNMessage {
    private enum AttributeType {
        static let mappedAddress: UInt16 = 0x0001
        static let changeRequest: UInt16 = 0x0003
        static let changedAddress: UInt16 = 0x0005
        static let messageIntegrity: UInt16 = 0x0008
        static let errorCode: UInt16 = 0x0009
        static let unknownAttributes: UInt16 = 0x000a
        static let messageIntegritySHA256: UInt16 = 0x001c
        static let xorMappedAddress: UInt16 = 0x0020
        static let padding: UInt16 = 0x0026
        static let responsePort: UInt16 = 0x0027
        static let software: UInt16 = 0x8022
        static let fingerprint: UInt16 = 0x8028
        static let responseOrigin: UInt16 = 0x802b
        static let otherAddress: UInt16 = 0x802c
    }

    /// Whether a datagram begins as a STUN message does; a receiver that shares a port with other protocols checks this
    /// first.
    package static func isLikely(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= headerBytes, bytes[0] < 0x40, bytes[3] & 3 == 0 else { return false }
        return bytes[4..<8].elementsEqual([0x21, 0x12, 0xa4, 0x42])
    }

    /// Reads a datagram. Bytes after the stated length are ignored: some servers send them. Throws where a length, an
    /// address, an error code or the FINGERPRINT is wrong.
    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        var reader = ByteReader(bytes.span.bytes)
        let type = try reader.uint16("type")
        guard type < 1 << 14 else { throw DecodeError(.invalidValue, "type", at: 0) }
        let length = Int(try reader.uint16("length"))
        guard length % 4 == 0 else { throw DecodeError(.invalidValue, "length", at: 2) }
        guard try reader.uint32("cookie") == STUNMessage.cookie else {
            throw DecodeError(.invalidValue, "cookie", at: 4)
        }
        // The class lies in bits 4 and 8, the method around it (section 5).
        method = type & 0xf | (type >> 1) & 0x70 | (type >> 2) & 0xf80
        // Two bits have four values, and all are cases.
        messageClass = Class(rawValue: (type >> 4) & 1 | (type >> 7) & 2)!
        transaction = TransactionID(high: try reader.uint32("transaction"), low: try reader.uint64("transaction"))
        guard reader.remaining >= length else { throw DecodeError(.truncated, "attributes", at: reader.offset) }
        attributes = []
        let end = STUNMessage.headerBytes + length
        var isSealed = false
        while reader.offset < end {
            let start = reader.offset
            let type = try reader.uint16("attribute")
            let count = Int(try reader.uint16("attribute's length"))
            guard reader.offset + (count + 3) & ~3 <= end else { throw DecodeError(.truncated, "attribute", at: start) }
            let value = try reader.bytes(count, "attribute")
            try reader.skip(-count & 3, "padding")
            if type == AttributeType.fingerprint {
                try STUNMessage.check(value, bytes[..<start], isLast: reader.offset == end, at: start)
                return
            }
            if isSealed { continue }
            isSealed = type == AttributeType.messageIntegrity || type == AttributeType.messageIntegritySHA256
            guard attributes.count < STUNMessage.attributeLimit else {
                throw DecodeError(.tooLong, "attributes", at: start)
            }
            attributes.append(try Attribute(type, value, transaction, at: start))
        }
    }

    private static func check(
        _ value: [UInt8], _ before: ArraySlice<UInt8>, isLast: Bool, at offset: Int
    ) throws(DecodeError) {
        let expected = checksum(of: before) ^ fingerprintMask
        guard isLast, value.count == 4, value.elementsEqual((0..<4).map { UInt8(expected >> (24 - $0 * 8) & 0xff) })
        else { throw DecodeError(.invalidValue, "FINGERPRINT", at: offset) }
    }
}

extension STUNMessage.Attribute {
    fileprivate init(
        _ type: UInt16, _ value: [UInt8], _ transaction: STUNMessage.TransactionID, at offset: Int
    ) throws(DecodeError) {
        typealias Kind = STUNMessage.AttributeType
        var reader = ByteReader(value.span.bytes)
        do throws(DecodeError) {
            switch type {
            case Kind.mappedAddress: self = .mappedAddress(try SocketAddress(stun: &reader, disguise: nil))
            case Kind.xorMappedAddress:
                self = .xorMappedAddress(try SocketAddress(stun: &reader, disguise: transaction))
            case Kind.otherAddress, Kind.changedAddress:
                self = .otherAddress(try SocketAddress(stun: &reader, disguise: nil))
            case Kind.responseOrigin: self = .responseOrigin(try SocketAddress(stun: &reader, disguise: nil))
            case Kind.errorCode:
                let hundreds = Int(try reader.uint32("ERROR-CODE") & 0x7ff)
                guard (3...6).contains(hundreds >> 8), hundreds & 0xff < 100 else {
                    throw DecodeError(.invalidValue, "ERROR-CODE", at: 0)
                }
                self = .errorCode(hundreds >> 8 * 100 + hundreds & 0xff, String(decoding: reader.rest(), as: UTF8.self))
            case Kind.unknownAttributes:
                var types: [UInt16] = []
                while reader.remaining >= 2 { types.append(try reader.uint16("UNKNOWN-ATTRIBUTES")) }
                self = .unknownAttributes(types)
            case Kind.software: self = .software(String(decoding: value, as: UTF8.self))
            case Kind.changeRequest:
                let flags = try reader.uint32("CHANGE-REQUEST")
                self = .changeRequest(address: flags & 4 != 0, port: flags & 2 != 0)
            case Kind.responsePort: self = .responsePort(try reader.uint16("RESPONSE-PORT"))
            case Kind.padding: self = .padding(value.count)
            case _: self = .other(type, value)
            }
        } catch {
            throw DecodeError(error.reason, error.field, at: offset + 4 + error.offset)
        }
    }
}

extension SocketAddress {
    /// Sections 14.1 and 14.2: with a `disguise` the port and the address are XORed with the cookie and the transaction.
    fileprivate init(stun reader: inout ByteReader, disguise: STUNMessage.TransactionID?) throws(DecodeError) {
        try reader.skip(1, "address")
        let family = try reader.uint8("family")
        var port = try reader.uint16("port")
        if disguise != nil { port ^= UInt16(STUNMessage.cookie >> 16) }
        switch family {
        case 1:
            let value = try reader.uint32("address")
            self.init(.v4(disguise == nil ? value : value ^ STUNMessage.cookie), port)
        case 2:
            var high = try reader.uint64("address"), low = try reader.uint64("address")
            if let disguise {
                high ^= UInt64(STUNMessage.cookie) << 32 | UInt64(disguise.high)
                low ^= disguise.low
            }
            // An IPv4-mapped address is an IPv4 address.
            let isMapped = high == 0 && low >> 32 == 0xffff
            self.init(isMapped ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low), port)
        case _: throw DecodeError(.invalidValue, "family", at: 1)
        }
    }

    fileprivate func write(stun writer: inout ByteWriter, disguise: STUNMessage.TransactionID?) {
        writer.uint8(0)
        writer.uint8(ip.isIPv4 ? 1 : 2)
        writer.uint16(disguise == nil ? port : port ^ UInt16(STUNMessage.cookie >> 16))
        switch ip {
        case .v4(let value): writer.uint32(disguise == nil ? value : value ^ STUNMessage.cookie)
        case .v6(let high, let low):
            writer.uint64(disguise.map { high ^ (UInt64(STUNMessage.cookie) << 32 | UInt64($0.high)) } ?? high)
            writer.uint64(disguise.map { low ^ $0.low } ?? low)
        }
    }
}

// MARK: - Writing

extension STUNMessage {
    /// The message as a datagram; with FINGERPRINT at its end unless `hasFingerprint` is false.
    package func encoded(fingerprint hasFingerprint: Bool = true) -> [UInt8] {
        var body = ByteWriter()
        for attribute in attributes { attribute.write(to: &body, transaction) }
        let length = body.count + (hasFingerprint ? 8 : 0)
        precondition(length < 1 << 16, "a STUN message of \(length) bytes")
        var writer = ByteWriter(reserving: STUNMessage.headerBytes + length)
        let kind = messageClass.rawValue
        writer.uint16(
            method & 0xf | (method & 0x70) << 1 | (method & 0xf80) << 2 | (kind & 1) << 4 | (kind & 2) << 7)
        writer.uint16(UInt16(length))
        writer.uint32(STUNMessage.cookie)
        writer.uint32(transaction.high)
        writer.uint64(transaction.low)
        writer.append(body.bytes)
        if hasFingerprint {
            let sum = STUNMessage.checksum(of: writer.bytes[...]) ^ STUNMessage.fingerprintMask
            writer.uint16(AttributeType.fingerprint)
            writer.uint16(4)
            writer.uint32(sum)
        }
        return writer.bytes
    }

    /// CRC-32 of ITU V.42, as in Ethernet.
    private static func checksum(of bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0xedb8_8320 : 0) }
        }
        return ~sum
    }
}

extension STUNMessage.Attribute {
    fileprivate func write(to writer: inout ByteWriter, _ transaction: STUNMessage.TransactionID) {
        typealias Kind = STUNMessage.AttributeType
        var value = ByteWriter()
        let type: UInt16
        switch self {
        case .mappedAddress(let address):
            type = Kind.mappedAddress
            address.write(stun: &value, disguise: nil)
        case .xorMappedAddress(let address):
            type = Kind.xorMappedAddress
            address.write(stun: &value, disguise: transaction)
        case .errorCode(let code, let reason):
            precondition((300..<700).contains(code), "an error code of \(code)")
            type = Kind.errorCode
            value.uint32(UInt32(code / 100) << 8 | UInt32(code % 100))
            value.append(reason.utf8)
        case .unknownAttributes(let types):
            type = Kind.unknownAttributes
            for type in types { value.uint16(type) }
        case .software(let text):
            type = Kind.software
            value.append(text.utf8)
        case .changeRequest(let address, let port):
            type = Kind.changeRequest
            value.uint32((address ? 4 : 0) | (port ? 2 : 0))
        case .otherAddress(let address):
            type = Kind.otherAddress
            address.write(stun: &value, disguise: nil)
        case .responseOrigin(let address):
            type = Kind.responseOrigin
            address.write(stun: &value, disguise: nil)
        case .responsePort(let port):
            type = Kind.responsePort
            value.uint16(port)
            // Section 7.5 makes the padding a part of the value, and servers require it.
            value.uint16(0)
        case .padding(let count):
            type = Kind.padding
            value.zeros(count)
        case .other(let number, let bytes):
            type = number
            value.append(bytes)
        }
        writer.uint16(type)
        writer.uint16(UInt16(value.count))
        writer.append(value.bytes)
        writer.zeros(-value.count & 3)
    }
}
