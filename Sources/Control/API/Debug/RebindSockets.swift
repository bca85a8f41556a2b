package struct RebindSockets: ShellVerb {
    /// Without it, the kernel chooses one.
    package private(set) var port: Int64?

    package init(port: Int64? = nil) { self.port = port }

    package typealias Answer = RebindView

    package static let verb = VerbDescription(
        "debug.rebind", "Opens the mesh's sockets again", commands: ["debug rebind"])

    package var agentRequest: AgentRequest { .debugRebind(self) }
    package static func reply(_ view: RebindView) -> AgentReply { .rebound(view) }
}
