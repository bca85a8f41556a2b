import Base
import Control
import Foundation
import Testing

extension OverlayTests {
    /// A controller that listens at all addresses, on a machine whose agent has an interface of an overlay.
    @Test func `a token holds the addresses that a new node can reach, and none of the overlay`() throws {
        try Overlay.with { overlay in
            let folder = try temporaryFolder("advertised"), socket = "\(folder)/c.sock"
            let controller = try overlay.b.namespace.enter {
                try Program(
                    "asterism-controller",
                    [
                        "--config", "none", "--data", "\(folder)/data", "--listen", "0.0.0.0:7961", "--socket", socket,
                        "--name", "other",
                    ], output: "\(folder)/log")
            }
            defer {
                controller.end()
                try? FileManager.default.removeItem(atPath: folder)
            }
            func addresses() throws -> [String] {
                let view: TokenView = try ask(socket, ControllerRequest.tokensCreate(.init(ttlSeconds: 60, uses: 1)))
                return try TokenText(#require(view.token)).addresses.map(\.description)
            }
            var first: [String] = []
            try eventually("the controller makes a token") {
                first = try addresses()
                return true
            }
            #expect(first == ["10.99.0.2:7961"])
            // The machine gets another address while the controller runs.
            try overlay.b.namespace.ip("addr add 10.99.0.77/24 dev cable")
            try eventually("tokens follow") { try addresses() == ["10.99.0.2:7961", "10.99.0.77:7961"] }
            try overlay.b.namespace.ip("addr flush dev cable")
            try eventually("there is no address for a token") {
                do {
                    _ = try addresses()
                    return false
                } catch let error as APIError {
                    return error.code == .unavailable && error.message.contains("--advertise")
                }
            }
        }
    }
}
