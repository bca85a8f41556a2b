import Base
import Testing

@testable import Mesh

@Suite struct IGDTests {
    private func world(change: (inout ModelGateway) -> Void) -> MapperWorld {
        var gateway = ModelGateway(.upnp)
        change(&gateway)
        let world = MapperWorld(gateway)
        world.begin()
        return world
    }

    @Test(arguments: ["WANIPConnection:1", "WANIPConnection:2", "WANPPPConnection:1"])
    func `every service that maps ports is used, and the newer one by its own action`(service: String) {
        let world = world { $0.service = service }
        world.run(.seconds(2))
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7950"))
        let add = service.hasSuffix("2") ? "AddAnyPortMapping" : "AddPortMapping"
        #expect(world.gateway.actions == ["GetExternalIPAddress", add])
    }

    @Test func `a service that lacks the newer action is asked by the older one`() {
        let world = world { $0.knowsAddAny = false }
        world.run(.seconds(2))
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7950"))
        #expect(world.gateway.actions == ["GetExternalIPAddress", "AddAnyPortMapping", "AddPortMapping"])
    }

    @Test func `a port in use becomes another one, by AddAnyPortMapping or by a new request`() throws {
        for service in ["WANIPConnection:1", "WANIPConnection:2"] {
            let world = world {
                $0.service = service
                $0.entries[7950] = .init(client: IPAddress("192.168.1.3")!, internalPort: 7950)
            }
            world.run(.seconds(2))
            let external = try #require(world.mapper.external, "\(service)")
            #expect(external.port != 7950 && external.port >= 1024)
            #expect(world.gateway.entries[external.port]?.client == MapperWorld.own)
            #expect(world.gateway.entries[7950]?.client == IPAddress("192.168.1.3")!)
            // Renewals keep it.
            world.run(.minutes(45))
            #expect(world.mapper.external == external && world.gateway.entries.count == 2)
        }
    }

    @Test func `a gateway with only endless leases gets such a request, and it is still deleted`() {
        let world = world {
            $0.service = "WANIPConnection:1"
            $0.leasesAreForEver = true
        }
        world.run(.seconds(2))
        #expect(world.mapper.external == SocketAddress("203.0.113.9:7950") && world.status.lifetime == nil)
        world.run(.seconds(86_400))
        #expect(world.mapper.external != nil && world.gateway.entries.count == 1)
        // Without an end it would lead to the old address forever.
        world.begin(own: IPAddress("192.168.1.50")!)
        world.run(.seconds(2))
        #expect(world.gateway.entries.values.map(\.client) == [IPAddress("192.168.1.50")!])
        world.stop()
        world.run(.seconds(1))
        #expect(world.mapper.isEnded && world.gateway.entries.isEmpty)
    }

    @Test func `a conflict that never ends is a failure after a few attempts`() {
        let world = world {
            $0.service = "WANIPConnection:1"
            $0.errorOfAdd = 718
        }
        world.run(.seconds(20))
        #expect(world.mapper.external == nil)
        #expect(world.gateway.actions.count { $0 == "AddPortMapping" } == 7)
        #expect(world.status.problem?.contains("the port is mapped for another already") == true)
    }

    @Test func `URLs are taken relative to the description, or to URLBase`() {
        for (base, control, path) in [
            (nil, "ctl/IPConn", "/ctl/IPConn"), ("http://192.168.1.1:5000/", "ctl/IPConn", "/ctl/IPConn"),
            ("http://192.168.1.1:5000/a/b", "c?d=e", "/a/c?d=e"), (nil, "http://192.168.1.1:80/x", "/x"),
            ("http://evil.example/", "/x", "/x"),
        ] as [(String?, String, String)] {
            let world = world {
                $0.urlBase = base
                $0.controlURL = path
            }
            world.onAnswer = { bytes in
                let text = String(decoding: bytes, as: UTF8.self)
                    .replacing("<controlURL>\(path)</controlURL>", with: "<controlURL>\(control)</controlURL>")
                    .replacing(#/Content-Length: \d+\r\n/#, with: "")
                return Array(text.utf8)
            }
            world.run(.seconds(2))
            #expect(world.mapper.external == SocketAddress("203.0.113.9:7950"), "\(control) at \(base ?? "none")")
        }
    }

    /// Any host on the network may answer a search, and name any machine.
    @Test(arguments: [
        "http://192.168.1.66:5000/rootDesc.xml", "http://203.0.113.1/", "http://router.example/rootDesc.xml",
        "https://192.168.1.1/rootDesc.xml", "http://192.168.1.1:0/", "http://192.168.1.1@203.0.113.1/",
        "file:///etc/passwd",
        "http://192.168.1.1:5000/a b", "http://192.168.1.1:5000/\u{e9}", "http://192.168.1.1:99999/", "",
    ])
    func `a description elsewhere than at the gateway is not fetched`(location: String) {
        let world = world { $0.location = location }
        world.run(.seconds(30))
        #expect(world.requested.isEmpty && world.mapper.external == nil)
    }

    @Test func `answers of other hosts than the gateway are ignored`() {
        let world = world { $0.isMute = true }
        world.run(.seconds(1))
        let answer = "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        for (place, from) in [("192.168.1.66", "192.168.1.66:1900"), ("192.168.1.1", "192.168.1.66:1900")] {
            world.deliver(
                Array("\(answer)LOCATION: http://\(place):5000/\r\n\r\n".utf8), from: SocketAddress(from)!)
        }
        #expect(world.requested.isEmpty)
    }

    @Test func `a control URL elsewhere is not called`() {
        let world = world { $0.controlURL = "http://203.0.113.1/ctl" }
        world.run(.seconds(30))
        #expect(world.requested.count == 1)
        #expect(world.status.problem?.contains("UPnP makes no mappings") == true)
    }

    // MARK: - HTTP

    @Test func `HTTP answers are read by length, by chunks, and by the end of the connection`() throws {
        for (text, body, isComplete) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true),
            ("HTTP/1.0 200 OK\nContent-Length:3\n\nabcdef", "abc", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", "abcde",
                true
            ),
            ("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nabc", "abc", false),
            ("HTTP/1.1 200\r\nX: y\r\n\r\n", "", false),
        ] {
            let bytes = Array(text.utf8), answer = try HTTPAnswer(decoding: bytes)
            #expect(answer.status == 200 && answer.body == Array(body.utf8), "\(text)")
            #expect(HTTPAnswer.isComplete(bytes) == isComplete, "\(text)")
        }
        for bad in [
            "", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        ] {
            #expect(throws: DecodeError.self, "\(bad)") { try HTTPAnswer(decoding: Array(bad.utf8)) }
            #expect(!HTTPAnswer.isComplete(Array(bad.utf8)), "\(bad)")
        }
        let endless = Array("HTTP/1.1 200 OK\r\n".utf8) + [UInt8](repeating: 65, count: HTTPAnswer.bytesLimit + 1)
        #expect(throws: DecodeError.self) { try HTTPAnswer(decoding: endless) }
    }

    @Test func `a gateway's text is shortened and cleaned before a person sees it`() {
        let fault = SOAP.Fault(code: 999, words: "\u{1b}[31m" + String(repeating: "x", count: 500))
        #expect(fault.meaning == "refused with code 999, [31m" + String(repeating: "x", count: 76))
    }
}
