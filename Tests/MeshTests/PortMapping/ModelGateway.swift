import Base
import Mesh
import Testing

/// A router as the standards describe it, with the faults that real ones have. It keeps one table of mappings, for all
/// protocols.
struct ModelGateway {
    struct Entry: Hashable {
        var client: IPAddress
        var internalPort: UInt16
        var nonce: [UInt8]?
        /// `nil`: without an end.
        var expiresAt: Instant?
    }
    static let inside = IPAddress("192.168.1.1")!

    var speaks: [PortMappingProtocol]
    var external = IPAddress("203.0.113.9")!
    var startedAt = Instant.origin
    var entries: [UInt16: Entry] = [:]
    /// Answers nothing at all.
    var isMute = false
    /// Does not even refuse protocols that it does not support.
    var ignoresOthers = false
    /// What it answers to every MAP of PCP, and of NAT-PMP.
    var pcpResult: UInt8 = 0
    var pmpResult: UInt16 = 0
    var longestLease: UInt32 = 86_400
    /// External ports that it does not map.
    var taken: [UInt16] = []
    var service = "WANIPConnection:2"
    var knowsAddAny = true
    var leasesAreForEver = false
    var errorOfAdd: Int?
    /// Where its HTTP server claims to be.
    var location = "http://192.168.1.1:5000/rootDesc.xml"
    var urlBase: String?
    var controlURL = "/ctl/IPConn"
    /// The first byte and the opcode of each datagram that came to its control port, and the SOAP actions.
    private(set) var asked: [[UInt8]] = []
    private(set) var actions: [String] = []
    private(set) var searches = 0

    init(_ speaks: PortMappingProtocol...) { self.speaks = speaks }

    mutating func restart(_ now: Instant) {
        startedAt = now
        entries = [:]
    }

    private func epoch(_ now: Instant) -> UInt32 { UInt32((now - startedAt).seconds) }

    // MARK: - Datagrams

    mutating func received(_ bytes: [UInt8], at remote: SocketAddress, from client: IPAddress, now: Instant) -> [UInt8]?
    {
        if remote.port == 1900 {
            searches += 1
            return isMute ? nil : answerSearch(bytes)
        }
        asked.append(Array(bytes.prefix(2)))
        guard !isMute, remote == SocketAddress(ModelGateway.inside, 5351), bytes.count >= 2 else { return nil }
        if bytes[0] == 2 {
            guard !speaks.contains(.pcp) else { return answerPCP(bytes, client, now) }
            // RFC 6886, section 3.5.
            guard speaks.contains(.natPMP), !ignoresOthers else { return nil }
            return [0, 0x80 | bytes[1], 0, 1] + big(epoch(now))
        }
        guard !speaks.contains(.natPMP) else { return answerPMP(bytes, client, now) }
        guard speaks.contains(.pcp), !ignoresOthers else { return nil }
        return [2, 0x80 | bytes[1], 0, 1] + big(0) + big(epoch(now)) + [UInt8](repeating: 0, count: 12)
    }

    private mutating func answerPCP(_ bytes: [UInt8], _ client: IPAddress, _ now: Instant) -> [UInt8]? {
        guard bytes.count >= 60, bytes[1] == 1 else { return nil }
        var lifetime = min(number(bytes[4..<8]), longestLease), result = pcpResult
        let nonce = Array(bytes[24..<36]), inner = UInt16(number(bytes[40..<42]))
        var outer = UInt16(number(bytes[42..<44]))
        if IPAddress(bytes: bytes[8..<24]) != client { result = 12 }
        let known = entries.first { $0.value.client == client && $0.value.internalPort == inner }
        if let known, let theirs = known.value.nonce, theirs != nonce { result = 2 }
        if result == 0 {
            if let known { outer = known.key }
            if number(bytes[4..<8]) == 0 {
                entries[outer] = nil
                lifetime = 0
            } else {
                outer = free(outer, for: client)
                entries[outer] = Entry(
                    client: client, internalPort: inner, nonce: nonce, expiresAt: now + .seconds(Int64(lifetime)))
            }
        }
        return [2, 0x81, 0, result] + big(lifetime) + big(epoch(now)) + [UInt8](repeating: 0, count: 12)
            + bytes[24..<42]
            + [UInt8(outer >> 8), UInt8(outer & 255)] + [UInt8](repeating: 0, count: 10) + [255, 255] + external.bytes
    }

    private mutating func answerPMP(_ bytes: [UInt8], _ client: IPAddress, _ now: Instant) -> [UInt8]? {
        if bytes == [0, 0] { return [0, 0x80, 0, 0] + big(epoch(now)) + external.bytes }
        guard bytes.count == 12, bytes[1] == 1 else { return nil }
        if pmpResult != 0 { return [0, 0x81, UInt8(pmpResult >> 8), UInt8(pmpResult & 255)] + big(epoch(now)) }
        let inner = UInt16(number(bytes[4..<6])), lifetime = min(number(bytes[8..<12]), longestLease)
        var outer = UInt16(number(bytes[6..<8]))
        if lifetime == 0 {
            entries = entries.filter { $0.value.internalPort != inner || $0.value.client != client }
        } else {
            outer = free(outer, for: client)
            entries[outer] = Entry(client: client, internalPort: inner, expiresAt: now + .seconds(Int64(lifetime)))
        }
        return [0, 0x81, 0, 0] + big(epoch(now)) + bytes[4..<6] + [UInt8(outer >> 8), UInt8(outer & 255)]
            + big(lifetime)
    }

    private func free(_ desired: UInt16, for client: IPAddress) -> UInt16 {
        var port = desired == 0 ? 20_000 : desired
        while taken.contains(port) || entries[port].map({ $0.client != client }) ?? false { port += 1 }
        return port
    }

    private func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - $0 * 8)) } }
    private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

    // MARK: - UPnP

    private func answerSearch(_ bytes: [UInt8]) -> [UInt8]? {
        guard speaks.contains(.upnp), let version = service.last,
            String(decoding: bytes, as: UTF8.self).contains("InternetGatewayDevice:\(version)")
        else { return nil }
        return Array(
            """
            HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\n\
            ST: urn:schemas-upnp-org:device:InternetGatewayDevice:\(version)\r\nUSN: uuid:1\r\nEXT:\r\n\
            SERVER: \r\nLocation:\(location)\r\n\r\n
            """.utf8)
    }

    /// A request to any of its HTTP ports; `nil` where there is no answer.
    mutating func requested(_ bytes: [UInt8], from client: IPAddress, now: Instant) -> [UInt8]? {
        guard !isMute, speaks.contains(.upnp) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix("POST \(controlURL) ") else { return http(200, description) }
        guard let action = text.firstMatch(of: #/SOAPAction: "urn:schemas-upnp-org:service:(.*)#(.*)"/#) else {
            return http(500, "")
        }
        actions.append(String(action.2))
        guard action.1 == service else { return fault(401) }
        func argument(_ name: String) -> String {
            text.firstMatch(of: try! Regex("<\(name)>([^<]*)</\(name)>", as: (Substring, Substring).self)).map {
                "\($0.1)"
            }
                ?? ""
        }
        switch action.2 {
        case "GetExternalIPAddress":
            return answer(action.2, "<NewExternalIPAddress>\(external)</NewExternalIPAddress>")
        case "AddPortMapping", "AddAnyPortMapping":
            let isAny = action.2 == "AddAnyPortMapping"
            if isAny, !knowsAddAny { return fault(401) }
            if let errorOfAdd { return fault(errorOfAdd) }
            var port = UInt16(argument("NewExternalPort")) ?? 0
            let lease = UInt32(argument("NewLeaseDuration")) ?? 0
            if leasesAreForEver, lease != 0 { return fault(725) }
            guard argument("NewInternalClient") == "\(client)", argument("NewProtocol") == "UDP",
                let inner = UInt16(argument("NewInternalPort"))
            else { return fault(402) }
            if isAny { port = free(port, for: client) }
            if port != free(port, for: client) { return fault(718) }
            entries[port] = Entry(
                client: client, internalPort: inner, expiresAt: lease == 0 ? nil : now + .seconds(Int64(lease)))
            return answer(action.2, isAny ? "<NewReservedPort>\(port)</NewReservedPort>" : "")
        case "DeletePortMapping":
            guard entries.removeValue(forKey: UInt16(argument("NewExternalPort")) ?? 0) != nil else {
                return fault(714)
            }
            return answer(action.2, "")
        default: return fault(401)
        }
    }

    private var description: String {
        """
        <?xml version="1.0"?>
        <root xmlns="urn:schemas-upnp-org:device-1-0">\(urlBase.map { "<URLBase>\($0)</URLBase>" } ?? "")<device>
        <deviceList><device><serviceList><service>
        <serviceType>urn:schemas-upnp-org:service:\(service)</serviceType><controlURL>\(controlURL)</controlURL>
        </service></serviceList></device></deviceList></device></root>
        """
    }

    private func answer(_ action: Substring, _ inner: String) -> [UInt8] {
        http(
            200,
            """
            <?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>\
            <u:\(action)Response xmlns:u="urn:schemas-upnp-org:service:\(service)">\(inner)</u:\(action)Response>\
            </s:Body></s:Envelope>
            """)
    }

    private func fault(_ code: Int) -> [UInt8] {
        http(
            500,
            """
            <s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>\
            <faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
            <UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>\(code)</errorCode>\
            <errorDescription>no</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>
            """)
    }

    private func http(_ status: Int, _ body: String) -> [UInt8] {
        Array("HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)".utf8)
    }
}

/// A mapper and its gateway on one virtual clock, two milliseconds apart.
final class MapperWorld {
    var mapper: PortMapper
    var gateway: ModelGateway
    private(set) var now = Instant.origin + .seconds(1000)
    private var out = PortMapperOutbox()
    private var onTheWay: [(at: Instant, deliver: (MapperWorld) -> Void)] = []
    /// What was sent, with its time.
    private(set) var sent: [(at: Instant, bytes: [UInt8], remote: SocketAddress)] = []
    private(set) var requested: [PortMapperRequest] = []
    /// Changes the gateway's datagrams in transit.
    var onAnswer: (([UInt8]) -> [UInt8]?)?
    static let own = IPAddress("192.168.1.2")!
    static let nonce: [UInt8] = Array(1...12)
    private var place: PortMapper.Place?

    init(_ gateway: ModelGateway, seed: UInt64 = 1) {
        self.gateway = gateway
        mapper = PortMapper(port: 7950, nonce: MapperWorld.nonce, random: Random(Seed(seed)))
    }

    func begin(own: IPAddress? = MapperWorld.own) {
        place = own.map { PortMapper.Place(gateway: ModelGateway.inside, own: $0) }
        mapper.moved(to: place, now: now, into: &out)
        flush()
    }

    func stop() {
        mapper.stop(now: now, into: &out)
        flush()
    }

    func deliver(_ bytes: [UInt8], from remote: SocketAddress) {
        mapper.received(bytes, from: remote, now: now, into: &out)
        flush()
    }

    /// Lets so much time pass.
    func run(_ time: Interval) {
        let end = now + time
        var steps = 0
        while let next = ([mapper.deadline?.at] + onTheWay.map(\.at)).compactMap({ $0 }).min(), next <= end {
            steps += 1
            guard steps < 100_000 else {
                Issue.record("the mapper spins at \(now)")
                return
            }
            now = max(now, next)
            if let index = onTheWay.firstIndex(where: { $0.at <= now }) {
                onTheWay.remove(at: index).deliver(self)
            } else {
                mapper.tick(now: now, into: &out)
                flush()
            }
        }
        now = end
    }

    var status: PortMappingStatus { mapper.status(now: now) }

    private func flush() {
        let datagrams = out.datagrams, requests = out.requests
        out = PortMapperOutbox()
        let arrival = now + .milliseconds(4)
        for (bytes, remote) in datagrams {
            sent.append((now, bytes, remote))
            guard remote.ip == ModelGateway.inside || remote.port == 1900, let own = place?.own,
                let answer = gateway.received(bytes, at: remote, from: own, now: now), let seen = changed(answer)
            else { continue }
            let source = SocketAddress(ModelGateway.inside, remote.port)
            onTheWay.append((arrival, { $0.deliver(seen, from: source) }))
        }
        for request in requests {
            requested.append(request)
            let own = place?.own ?? MapperWorld.own
            let answer = gateway.requested(request.bytes, from: own, now: now).flatMap { changed($0) }
            onTheWay.append((arrival, { $0.answer(request.id, answer) }))
        }
    }

    private func changed(_ answer: [UInt8]) -> [UInt8]? { onAnswer.map { $0(answer) } ?? answer }

    private func answer(_ id: UInt64, _ bytes: [UInt8]?) {
        mapper.answered(id, bytes.map { .bytes($0) } ?? .failed("refused"), now: now, into: &out)
        flush()
    }
}
