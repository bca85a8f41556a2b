package import Base
package import Noise
package import Wire

/// An enrolment token: everything that a new node needs to find its controller, to authenticate it, and to be admitted.
/// As text it is `ast1-` and lower-case base32 (RFC 4648, section 6, without padding) of
///
/// ```
/// version 1 (=1) | token id 8 | secret 32 | controller 32 | authority 32 | fleet 16
/// address count 1, then each: family 1 (4 or 6), IP 4 or 16, port 2
///                        or family 1 (=0), length 1, host name, port 2
/// count 1 of TCP ports at the same hosts, then port 2 each; left out where there are none
/// checksum 4: the first bytes of BLAKE2b over all before
/// ```
///
/// The checksum detects copying errors. It does not protect against attackers: they do not have the secret.
package struct TokenText: Hashable, Sendable {
    package static let prefix = "ast1-"
    package static let idCount = 8
    package static let secretCount = 32

    package var id: [UInt8]
    package var secret: [UInt8]
    /// The controller's key: the secret is proven only in a session with the owner of this key.
    package var controller: NodeID
    /// The key that signs this fleet's certificates.
    package var authority: VerifyingKey
    package var fleet: FleetID
    package var addresses: [SocketAddress]
    package var tcpPorts: [UInt16]
    /// Names that resolve to the controller: they stay valid when its address changes.
    package var names: [HostPort]

    package init(
        id: [UInt8], secret: [UInt8], controller: NodeID, authority: VerifyingKey, fleet: FleetID,
        addresses: [SocketAddress], tcpPorts: [UInt16] = [], names: [HostPort] = []
    ) {
        precondition(names.count <= Limits.namesPerController, "\(names.count) names")
        precondition(tcpPorts.count <= Limits.tcpPorts, "\(tcpPorts.count) ports")
        precondition(id.count == TokenText.idCount, "a token id of \(id.count) bytes")
        precondition(secret.count == TokenText.secretCount, "a token secret of \(secret.count) bytes")
        precondition(addresses.count <= Limits.addressesPerPeer, "\(addresses.count) addresses")
        self.id = id
        self.secret = secret
        self.controller = controller
        self.authority = authority
        self.fleet = fleet
        self.addresses = addresses
        self.tcpPorts = tcpPorts
        self.names = names
    }

    /// Where the controller is.
    package var place: ControllerAddress {
        ControllerAddress(node: controller, addresses: addresses, tcpPorts: tcpPorts, names: names)
    }

    package var text: String {
        var writer = ByteWriter(reserving: 160)
        writer.uint8(1)
        writer.append(id)
        writer.append(secret)
        writer.nodeID(controller)
        writer.append(authority.bytes)
        writer.append(fleet.bytes)
        writer.uint8(UInt8(addresses.count + names.count))
        for address in addresses {
            writer.uint8(address.ip.isIPv4 ? 4 : 6)
            writer.append(address.ip.bytes)
            writer.uint16(address.port)
        }
        for name in names {
            writer.uint8(0)
            writer.uint8(UInt8(name.host.utf8.count))
            writer.append(Array(name.host.utf8))
            writer.uint16(name.port)
        }
        if !tcpPorts.isEmpty {
            writer.uint8(UInt8(tcpPorts.count))
            for port in tcpPorts { writer.uint16(port) }
        }
        writer.append(Hash.blake2b(writer.bytes)[..<4])
        return TokenText.prefix + Base32.encode(writer.bytes)
    }

    /// White space, also where a line was wrapped, and a byte order mark are left out; the rest must be exact.
    package init(_ text: some StringProtocol) throws(TokenError) {
        var body = String.UnicodeScalarView()
        for scalar in text.unicodeScalars where !scalar.properties.isWhitespace && scalar != "\u{FEFF}" {
            body.append(scalar)
        }
        try self.init(exact: String(body))
    }

    private init(exact body: String) throws(TokenError) {
        guard !body.isEmpty else { throw .empty }
        guard body.hasPrefix(TokenText.prefix) else { throw .noPrefix }
        let bytes: [UInt8]
        do throws(Base32.BadCharacter) {
            bytes = try Base32.decode(body.dropFirst(TokenText.prefix.count))
        } catch {
            guard let place = error.place else { throw .incomplete }
            throw .badCharacter(at: place)
        }
        guard let version = bytes.first else { throw .incomplete }
        guard version == 1 else { throw .unknownVersion(version) }
        guard bytes.count > 4, Array(Hash.blake2b(Array(bytes.dropLast(4)))[..<4]) == Array(bytes.suffix(4)) else {
            throw .badChecksum
        }
        let content = Array(bytes.dropLast(4))
        do throws(DecodeError) {
            var reader = ByteReader(content.span.bytes)
            try self.init(reading: &reader)
        } catch {
            throw .malformed(error)
        }
    }

    private init(reading reader: inout ByteReader) throws(DecodeError) {
        try reader.skip(1, "version")
        id = try reader.bytes(TokenText.idCount, "token id")
        secret = try reader.bytes(TokenText.secretCount, "secret")
        controller = try reader.nodeID("controller")
        // 32 bytes make a key.
        authority = VerifyingKey(try reader.bytes(32, "authority"))!
        fleet = FleetID(try reader.uint64("fleet"), try reader.uint64("fleet"))
        (addresses, names) = ([], [])
        for _ in 0..<(try reader.uint8("address count")) {
            let family = try reader.uint8("family")
            switch family {
            case 0: names.append(try TokenText.name(&reader))
            case 4, 6:
                // 4 or 16 bytes make an address.
                let ip = IPAddress(bytes: try reader.bytes(family == 4 ? 4 : 16, "address"))!
                addresses.append(SocketAddress(ip, try reader.uint16("port")))
            default: throw DecodeError(.invalidValue, "family", at: reader.offset)
            }
        }
        guard addresses.count <= Limits.addressesPerPeer, names.count <= Limits.namesPerController else {
            throw DecodeError(.tooLong, "addresses", at: reader.offset)
        }
        tcpPorts = []
        if reader.remaining > 0 {
            let count = try reader.uint8("TCP port count")
            guard count > 0, count <= Limits.tcpPorts else {
                throw DecodeError(.invalidValue, "TCP ports", at: reader.offset)
            }
            for _ in 0..<count { tcpPorts.append(try reader.uint16("TCP port")) }
        }
        try reader.expectEnd("token")
    }

    private static func name(_ reader: inout ByteReader) throws(DecodeError) -> HostPort {
        let bytes = try reader.bytes(Int(try reader.uint8("name's length")), "name")
        let port = try reader.uint16("port")
        guard let name = HostPort(host: String(decoding: bytes, as: UTF8.self), port: port) else {
            throw DecodeError(.invalidValue, "name", at: reader.offset)
        }
        return name
    }
}

extension TokenText {
    /// Proves possession of the secret, in one session only.
    package static func proof(secret: [UInt8], handshakeHash: [UInt8]) -> [UInt8] {
        Hash.blake2b(handshakeHash + Array("asterism enrol".utf8), key: secret)
    }
}

/// RFC 4648, section 6, in lower case and without padding.
package enum Base32 {
    package struct BadCharacter: Error, Hashable, Sendable {
        /// `nil`: all characters are valid, and the last bits are missing.
        package private(set) var place: Int?
    }

    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var word = 0, bits = 0
        for byte in bytes {
            word = (word << 8 | Int(byte)) & 0xfff
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(alphabet[word >> bits & 31])
            }
        }
        if bits > 0 { text.append(alphabet[word << (5 - bits) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Bits left over at the end must be zero, so that a value has one text.
    package static func decode(_ text: some StringProtocol) throws(BadCharacter) -> [UInt8] {
        var bytes: [UInt8] = []
        var word = 0, bits = 0, count = 0
        for digit in text.utf8 {
            let value: Int
            switch digit {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = Int(digit) - 97
            case UInt8(ascii: "2")...UInt8(ascii: "7"): value = Int(digit) - 50 + 26
            default: throw BadCharacter(place: count)
            }
            word = (word << 5 | value) & 0xfff
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> bits))
            }
            count += 1
        }
        guard bits < 5, word & ((1 << bits) - 1) == 0 else { throw BadCharacter(place: nil) }
        return bytes
    }
}
