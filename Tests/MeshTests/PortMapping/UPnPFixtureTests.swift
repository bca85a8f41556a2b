import Base
import Foundation
import Testing

@testable import Mesh

/// Texts of real gateways: `Fixtures/upnp`, then the folder of the same name in `ASTERISM_EXTRA_FIXTURES`.
@Suite struct UPnPFixtureTests {
    private static let folders: [URL] = {
        let own = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures")
        let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"].map { URL(filePath: $0) }
        return [own, extra].compactMap { $0?.appending(path: "upnp") }
    }()

    private static func files(_ isRequested: (String) -> Bool) -> [URL] {
        folders.flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? []).filter(isRequested).sorted()
                .map { folder.appending(path: $0) }
        }
    }

    private static func bytes(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: folders[0].appending(path: name)))
    }

    /// The address that a text gives to its gateway.
    private static func gateway(in text: String) -> IPAddress {
        text.firstMatch(of: #/https?://(\d+\.\d+\.\d+\.\d+)/#).flatMap { IPAddress($0.1) } ?? ModelGateway.inside
    }

    @Test func `answers to searches name a description at the gateway`() throws {
        let files = Self.files { $0.hasSuffix(".ssdp") }
        #expect(files.count >= 2)
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: file))
            let location = try #require(SSDP.location(in: bytes), "\(file.lastPathComponent)")
            #expect(GatewayURL(location, at: Self.gateway(in: location)) != nil, "\(location)")
        }
    }

    @Test func `descriptions name a service that maps ports`() throws {
        let files = Self.files { $0.contains("description") && ($0.hasSuffix(".http") || $0.hasSuffix(".xml")) }
        #expect(files.count >= 2)
        for file in files {
            var body = [UInt8](try Data(contentsOf: file))
            if file.pathExtension == "http" { body = try HTTPAnswer(decoding: body).body }
            let gateway = Self.gateway(in: String(decoding: body, as: UTF8.self))
            let location = try #require(GatewayURL("http://\(gateway):5000/rootDesc.xml", at: gateway))
            #expect(!(try IGDService.all(in: body, at: location)).isEmpty, "\(file.lastPathComponent)")
        }
    }

    @Test func `all answers to calls can be read, and whatever names an error is one`() throws {
        let files = Self.files { $0.hasSuffix(".http") && !$0.contains("description") }
        #expect(files.count >= 6)
        for file in files {
            let http = try HTTPAnswer(decoding: [UInt8](try Data(contentsOf: file)))
            let answer = try SOAP.Answer(decoding: http.body)
            let hasCode = String(decoding: http.body, as: UTF8.self).contains("errorCode")
            if case .fault(let fault) = answer {
                #expect(hasCode && fault.code > 0, "\(file.lastPathComponent)")
            } else {
                #expect(!hasCode, "\(file.lastPathComponent)")
            }
        }
    }

    @Test func `miniupnpd's texts have the expected values`() throws {
        let search = SSDP.location(in: try Self.bytes("miniupnpd-search-1.ssdp"))
        #expect(search == "http://192.168.1.1:5001/rootDesc.xml")
        let location = try #require(GatewayURL("http://192.168.1.1:5000/rootDesc.xml", at: ModelGateway.inside))
        for (name, kind) in [("v1", IGDService.Kind.ip1), ("v2", .ip2)] {
            let http = try HTTPAnswer(decoding: Self.bytes("miniupnpd-description-\(name).http"))
            let services = try IGDService.all(in: http.body, at: location)
            #expect(services.map(\.kind) == [kind] && services.first?.control.path == "/ctl/IPConn")
            #expect(services.first?.control.remote == SocketAddress("192.168.1.1:5000"))
        }
        func answer(_ name: String) throws -> SOAP.Answer {
            try SOAP.Answer(decoding: HTTPAnswer(decoding: Self.bytes("miniupnpd-\(name).http")).body)
        }
        for (name, field, text) in [
            ("external-address", "NewExternalIPAddress", "203.0.112.11"), ("add-any", "NewReservedPort", "7950"),
        ] {
            guard case .values(let values) = try answer(name) else {
                Issue.record("\(name) is a fault")
                continue
            }
            #expect(values.first { $0.name == field }?.text == text)
        }
        #expect(try answer("conflict") == .fault(.init(code: 718, words: "ConflictInMappingEntry")))
        #expect(try answer("not-authorized") == .fault(.init(code: 606, words: "Action not authorized")))
    }
}
