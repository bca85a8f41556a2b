package import Base
import Noise

package struct TokensCreate: ImmediateControllerVerb {
    /// Without it, an hour.
    package private(set) var ttlSeconds: Int64?
    /// Without it, 1.
    package private(set) var uses: Int64?
    package var name: String?
    /// Whether nodes that join with it are beacons; without it, no.
    package var isForBeacons: Bool?

    package init(ttlSeconds: Int64? = nil, uses: Int64? = nil, name: String? = nil, isForBeacons: Bool? = nil) {
        self.ttlSeconds = ttlSeconds
        self.uses = uses
        self.name = name
        self.isForBeacons = isForBeacons
    }

    package typealias Answer = TokenView

    package static let verb = VerbDescription(
        "tokens.create", "Makes a token that lets nodes join; only this answer shows the token itself",
        commands: ["token create"])
    package static let route: HTTPRoute? = .post("/v1/tokens", body: .optional(schema), status: 201)
    package static let schema = Schema.object(
        "TokenParameters", ["ttlSeconds?": .integer, "uses?": .integer, "name?": .text, "isForBeacons?": .flag])

    package var controllerRequest: ControllerRequest { .tokensCreate(self) }
    package static func reply(_ view: TokenView) -> ControllerReply { .token(view) }

    package func answer(
        from controller: inout Controller, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> TokenView {
        guard !controller.isNowhere else {
            let text =
                "this controller knows no address at which nodes could reach it, so a token would be useless; start it "
                + "with --advertise HOST:PORT, or set 'advertise' in controller.yaml"
            throw APIError(.unavailable, text)
        }
        let record = try record(&controller.core, now: now)
        guard controller.tokens.add(record, wall: record.createdAt) else {
            throw APIError(.limit, "there are \(TokenRegistry.limit) tokens that can still be used")
        }
        out.persist([.token(record), controller.core.record(.tokenCreated, record.id.hex, now: now)])
        let text = TokenText(
            id: record.id, secret: record.secret, controller: controller.nodeID,
            authority: controller.core.authority.verifyingKey, fleet: controller.core.authority.fleet,
            addresses: controller.core.settings.addresses, tcpPorts: controller.core.settings.tcpPorts,
            names: controller.core.settings.names
        ).text
        return record.view(token: text)
    }

    private static let longestLife: Int64 = 365 * 86_400

    /// A new token as it is stored.
    private func record(_ core: inout ControllerCore, now: Instant) throws(APIError) -> TokenRecord {
        let life = ttlSeconds ?? 3600, uses = uses ?? 1
        guard (1...TokensCreate.longestLife).contains(life) else {
            let text = "ttlSeconds: must be from 1 to \(TokensCreate.longestLife), not \(life)"
            throw APIError(.invalid, text, field: "ttlSeconds")
        }
        guard (1...1_000_000).contains(uses) else {
            throw APIError(.invalid, "uses: must be from 1 to 1000000, not \(uses)", field: "uses")
        }
        if let name, name.utf8.count > 100 {
            throw APIError(.invalid, "name: is longer than 100 bytes", field: "name")
        }
        let wall = core.clock.wall(now)
        return TokenRecord(
            id: core.generator.bytes(TokenText.idCount), secret: core.generator.bytes(TokenText.secretCount),
            name: name, createdAt: wall, expiresAt: wall + .seconds(life), uses: Int(uses),
            isForBeacons: isForBeacons ?? false)
    }
}
