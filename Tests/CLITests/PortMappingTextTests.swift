import Base
import Control
import Foundation
import Testing

@testable import asterism

@Suite struct PortMappingTextTests {
    @Test(arguments: [
        (
            #"{"protocol":"PCP","externalAddress":"203.0.113.9:7951","internalPort":7950,"lifetimeSeconds":7199,"gateway":"192.168.1.1"}"#,
            "203.0.113.9:7951 by PCP from 192.168.1.1, for 1h, then renewed"
        ),
        (
            #"{"protocol":"UPnP","externalAddress":"10.0.0.9:7950","internalPort":7950,"problem":"behind a second NAT"}"#,
            "10.0.0.9:7950 by UPnP; behind a second NAT"
        ),
        (#"{"internalPort":7950,"problem":"there is no default gateway"}"#, "none: there is no default gateway"),
        (#"{"internalPort":7950}"#, "none: not asked for"),
    ])
    func `a port mapping is a line, or the reason why there is none`(json: String, text: String) throws {
        let view = try JSONDecoder().decode(PortMappingView.self, from: Data(json.utf8))
        #expect(Status.text(view) == text)
    }
}
