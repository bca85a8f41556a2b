import Base
import Control
import Foundation
import Testing

/// The page that `asterism netcheck` prints, for networks of all kinds.
@Suite struct NetcheckTests {
    private static let none = #"{"unknown":"notAsked"}"#

    /// A view as an agent gives it; what is not given is unknown.
    private static func view(
        ipv4: String = family(), ipv6: String = family(udp: #"{"unknown":"noAddress"}"#), beacons: String = "[]",
        stun: String = "[]", relays: String = "[]", mapping portMapping: String = "null", more: String = ""
    ) -> NetcheckView {
        Sample.decode(
            NetcheckView.self,
            """
            {"listening":["192.168.1.2:7950"],"interfaces":[{"name":"eth0","addresses":["192.168.1.2"],\
            "isOverlay":false},{"name":"asterism0","addresses":["100.64.0.7"],"isOverlay":true}],\
            "beacons":\(beacons),"stun":\(stun),"ipv4":\(ipv4),"ipv6":\(ipv6),"relays":\(relays),\
            "portMapping":\(portMapping)\(more)}
            """)
    }

    private static func family(
        udp: String = #"{"unknown":"noFleet"}"#, mapping: String = none, filtering: String = none,
        ports: String = none, hairpin: String = none, lifetime: String = none, more: String = ""
    ) -> String {
        """
        {"udp":\(udp),"mapping":\(mapping),"filtering":\(filtering),"ports":\(ports),"hairpin":\(hairpin),\
        "lifetime":\(lifetime)\(more)}
        """
    }

    private static func known(_ value: String) -> String { #"{"value":"\#(value)"}"# }

    private static func page(_ view: NetcheckView) throws -> String {
        let server = try FakeServer { question, _ in
            guard case .agent(.netcheck) = question else { return .error(APIError(.invalid, "not scripted")) }
            return .view(view)
        }
        let run = try withExtendedLifetime(server) {
            try CommandRun.run(["netcheck"], environment: ["ASTERISM_SOCKET": server.path])
        }
        #expect(run.status == 0 && run.errors.isEmpty, "\(run.errors)")
        return run.output
    }

    private static let beacon =
        #"{"node":"\#(Sample.id.hex)","name":"frankfurt","seen":"198.51.100.7:7950","roundTripMicroseconds":840}"#
    private static let stun = """
        [{"name":"stun.example.org:3478","address":"203.0.113.1:3478","seen":"198.51.100.7:40001",\
        "roundTripMicroseconds":1250,"otherAddress":"203.0.113.2:3479","software":"a server"},\
        {"name":"x.invalid:1","problem":"its name cannot be resolved"}]
        """

    @Test func `a node that knows nothing shows that everywhere, with a reason`() throws {
        let text = try Self.page(Self.view())
        let unknown = "unknown: this node is in no fleet, and asterismd was given no --stun server for this"
        for line in [
            "UDP over IPv4  \(unknown)", "UDP over IPv6  unknown: this machine has no address of that family",
            "asterism0  100.64.0.7 (the overlay)", "gateway    none over IPv4", "mesh       192.168.1.2:7950",
            "unknown: no beacon has answered, and asterismd was given no --stun server",
            "mapping    unknown: asterismd was given no --stun server for this",
            "lifetime   unknown: asterismd was given no --stun server for this",
            "none: this node knows no relay", "port mapping  not asked for (asterismd --port-mapping)",
        ] { #expect(text.contains(line + "\n"), "\(line)\n\n\(text)") }
        #expect(!text.contains("Kubernetes"))
    }

    @Test func `a home's router is described with what it means for peers`() throws {
        let family = Self.family(
            udp: Self.known("works"), mapping: Self.known("endpointIndependent"),
            filtering: Self.known("addressAndPortDependent"), ports: Self.known("preserving"),
            hairpin: Self.known("no"), lifetime: #"{"atLeastSeconds":20,"belowSeconds":45}"#)
        let text = try Self.page(
            Self.view(
                ipv4: family, beacons: "[\(Self.beacon)]", stun: Self.stun,
                more: #","gateway4":{"address":"192.168.1.1","interface":"eth0"}"#))
        for line in [
            "UDP over IPv4  works: 1 beacon and 1 STUN server answered\n", "gateway    192.168.1.1 at eth0\n",
            "beacon frankfurt ", "198.51.100.7:7950 ", "840us",
            "STUN stun.example.org:3478 (203.0.113.1:3478)  198.51.100.7:40001 ", "1.25ms", "203.0.113.2:3479",
            "STUN x.invalid:1 ", "its name cannot be resolved",
            "mapping    endpoint-independent: all destinations see one port, so peers know where to send\n",
            "filtering  address- and port-dependent: ", "peers use hole punching\n", "ports      preserved: ",
            "hairpin    no: ", "lifetime   20 to 45 s without a datagram; then the mapping expires\n",
        ] { #expect(text.contains(line), "\(line)\n\n\(text)") }
    }

    static let words: [(family: String, shows: String)] = [
        (family(udp: known("blocked")), "UDP over IPv4  blocked, as it seems: "),
        (family(mapping: known("none")), "mapping    none: this node has its own address outside"),
        (
            family(mapping: known("endpointIndependent")),
            "mapping    endpoint-independent: all destinations see one port"
        ),
        (family(mapping: known("endpointDependent")), "mapping    endpoint-dependent: "),
        (family(mapping: known("addressDependent")), "mapping    address-dependent: "),
        (family(mapping: known("addressAndPortDependent")), "mapping    address- and port-dependent: "),
        (family(filtering: known("endpointIndependent")), "every peer can reach this node directly"),
        (family(filtering: known("addressDependent")), "filtering  address-dependent: "),
        (family(ports: known("sequential"), more: #","portStep":2"#), "each new mapping's port is 2 on"),
        (family(ports: known("random")), "ports      random: "), (family(hairpin: known("yes")), "hairpin    yes: "),
        (family(lifetime: #"{"atLeastSeconds":290}"#), "more than 290 s without a datagram"),
        (family(lifetime: #"{"atLeastSeconds":0,"belowSeconds":20}"#), "less than 20 s without a datagram"),
        (family(lifetime: #"{"unknown":"pending"}"#), "it is being measured, which takes up to five minutes"),
    ]

    @Test(arguments: words.indices)
    func `each finding has its text`(_ index: Int) throws {
        let text = try Self.page(Self.view(ipv4: Self.words[index].family))
        #expect(text.contains(Self.words[index].shows), "\(text)")
    }

    static let reasons = [
        "pending", "noAnswer", "oneAddress", "noOtherAddress", "otherIsSilent", "notServed", "noNAT", "tooFew",
        "notAsked", "noFleet", "oneBeacon", "noAddress", "daily",
    ]

    @Test func `each reason has its own text`() throws {
        var seen: [String] = []
        for reason in Self.reasons {
            let family = Self.family(filtering: #"{"unknown":"\#(reason)"}"#)
            let text = try Self.page(Self.view(ipv4: family))
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("filtering") }.map(String.init))
            #expect(line.hasPrefix("filtering  unknown: ") && !line.contains(reason))
            seen.append(line)
        }
        #expect(Set(seen).count == Self.reasons.count)
    }

    @Test func `a pod, relays and port mappings have their places`() throws {
        let relay = """
            [{"node":"\(Sample.id.hex)","name":"frankfurt","address":"203.0.113.5:7950","state":"bound",\
            "isTCP":false,"roundTripMicroseconds":840,"isHome":true},{"node":"\(Sample.id.hex)","isTCP":false,\
            "state":"connecting","isHome":false}]
            """
        let mapping = """
            {"protocol":"NAT-PMP","externalAddress":"198.51.100.7:7950","internalPort":7950,"lifetimeSeconds":7200,\
            "gateway":"192.168.1.1"}
            """
        let pod = #","kubernetes":{"namespace":"training","pod":"trainer-0","sourceNAT":{"value":"yes"}}"#
        let text = try Self.page(Self.view(relays: relay, mapping: mapping, more: pod))
        for line in [
            "pod        trainer-0\n", "namespace  training\n", "SNAT       yes: ", "frankfurt ", "bound ", "840us",
            "connecting", "a peer", "NAT-PMP", "198.51.100.7:7950", "2h",
        ] { #expect(text.contains(line), "\(line)\n\n\(text)") }
        #expect(!text.contains("not asked for"))
    }

    @Test func `relays over TCP alone mean that UDP is blocked`() throws {
        let relay = """
            [{"node":"\(Sample.id.hex)","name":"oslo","address":"203.0.113.5:443","state":"bound","isTCP":true,\
            "isHome":true}]
            """
        let text = try Self.page(Self.view(ipv4: Self.family(udp: Self.known("blocked")), relays: relay))
        #expect(text.contains("blocked: relays are reached over TCP alone\n"), "\(text)")
        #expect(text.contains("tcp 203.0.113.5:443"), "\(text)")
    }

    @Test func `JSON is the view`() throws {
        let view = Self.view(beacons: "[\(Self.beacon)]", stun: Self.stun)
        let server = try FakeServer { _, _ in .view(view) }
        let run = try CommandRun.run(["netcheck", "--json", "--socket", server.path])
        #expect(run.status == 0)
        #expect(try JSONDecoder().decode(NetcheckView.self, from: Data(run.output.utf8)) == view)
    }
}
