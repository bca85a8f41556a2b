package import Base

/// What the fleet's authority states of a node. The encoded form is signed with Ed25519. A certificate proves the identity of
/// a peer if its `node` is the peer's static key and its signature is from a trusted authority.
///
/// ```
/// version 1 | fleet 16 | serial 8 | node 32 | roles 1 | not before 8 | not after 8 | IPv4 4
/// name text | site text | label count 1, then name text, value text each
/// signature 64
/// ```
///
/// Times are milliseconds since 1970. `IPv4` is the overlay address, 0.0.0.0 for none; the overlay's IPv6 address follows
/// from the key.
package struct Certificate: Hashable, Sendable {
    package static let version: UInt8 = 1
    package static let signatureSize = 64

    package var fleet: FleetID
    package var serial: UInt64
    package var node: NodeID
    package var roles: Roles
    package var notBefore: UnixTime
    package var notAfter: UnixTime
    package var overlay4: IPAddress = .any4
    package var name: String
    package var site: String
    /// Sorted by name, no name twice.
    package var labels: [Label]

    package init(
        fleet: FleetID, serial: UInt64, node: NodeID, roles: Roles, notBefore: UnixTime, notAfter: UnixTime,
        name: String, site: String = "", labels: [Label] = []
    ) {
        self.fleet = fleet
        self.serial = serial
        self.node = node
        self.roles = roles
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.name = name
        self.site = site
        self.labels = labels
    }

    /// What the authority signs.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        writer.uint8(Certificate.version)
        writer.append(fleet.bytes)
        writer.uint64(serial)
        writer.nodeID(node)
        writer.uint8(roles.rawValue)
        writer.uint64(UInt64(bitPattern: notBefore.milliseconds))
        writer.uint64(UInt64(bitPattern: notAfter.milliseconds))
        writer.append(overlay4.bytes)
        writer.text(name)
        writer.text(site)
        writer.uint8(UInt8(labels.count))
        for label in labels {
            writer.text(label.name)
            writer.text(label.value)
        }
        return writer.bytes
    }

    init(reading reader: inout ByteReader) throws(DecodeError) {
        guard try reader.uint8("version") == Certificate.version else {
            throw DecodeError(.invalidValue, "version", at: 0)
        }
        fleet = FleetID(try reader.uint64("fleet"), try reader.uint64("fleet"))
        serial = try reader.uint64("serial")
        node = try reader.nodeID("node")
        roles = Roles(rawValue: try reader.uint8("roles"))
        guard roles.isSubset(of: .all) else { throw DecodeError(.invalidValue, "roles", at: reader.offset) }
        notBefore = UnixTime(milliseconds: Int64(bitPattern: try reader.uint64("not before")))
        notAfter = UnixTime(milliseconds: Int64(bitPattern: try reader.uint64("not after")))
        // From 1970 to 2200, so that differences of times fit into an `Interval`.
        let times = 0...Int64(7_258_118_400_000)
        guard times.contains(notBefore.milliseconds), times.contains(notAfter.milliseconds), notBefore <= notAfter
        else {
            throw DecodeError(.invalidValue, "validity", at: reader.offset)
        }
        overlay4 = .v4(try reader.uint32("IPv4"))
        name = try reader.text("name", limit: Limits.nameBytes)
        site = try reader.text("site", limit: Limits.nameBytes)
        labels = []
        let count = try reader.uint8("label count")
        guard count <= Limits.labels else { throw DecodeError(.tooLong, "labels", at: reader.offset) }
        for _ in 0..<count {
            let name = try reader.text("label name", limit: Limits.labelBytes)
            let value = try reader.text("label value", limit: Limits.labelBytes)
            if let last = labels.last, last.name >= name {
                throw DecodeError(.invalidValue, "labels", at: reader.offset)
            }
            labels.append(Label(name, value))
        }
    }
}

/// Which fleet: 128 random bits, drawn once with the fleet's authority.
package struct FleetID: Hashable, Sendable {
    package var high: UInt64
    package var low: UInt64

    package init(_ high: UInt64, _ low: UInt64) {
        self.high = high
        self.low = low
    }

    package init?(hex: some StringProtocol) {
        guard let bytes = [UInt8](hex: hex), bytes.count == 16 else { return nil }
        self.init(bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }, bytes[8...].reduce(0) { $0 << 8 | UInt64($1) })
    }

    package var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - $0 * 8)) } }
    }
    package var hex: String { bytes.hex }
}

/// The roles that a node may have for others.
package struct Roles: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let agent = Roles(rawValue: 1)
    package static let beacon = Roles(rawValue: 2)
    package static let controller = Roles(rawValue: 4)
    package static let `operator` = Roles(rawValue: 8)
    package static let all: Roles = [.agent, .beacon, .controller, .operator]

    /// The names, in a fixed order.
    package var names: [String] {
        let known: [(Roles, String)] = [
            (.agent, "agent"), (.beacon, "beacon"), (.controller, "controller"), (.operator, "operator"),
        ]
        return known.filter { contains($0.0) }.map { $0.1 }
    }
}
