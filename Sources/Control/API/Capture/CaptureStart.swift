package struct CaptureStart: ShellVerb {
    /// As in `PingPeer`, of peers only; without it, all of them.
    package private(set) var peer: String?
    /// Without it, both.
    package private(set) var layer: CaptureLayer?
    /// The capture ends after so many packets: 1 to 1,000,000,000.
    package private(set) var count: Int64?
    /// ... or seconds: 1 to 86,400.
    package private(set) var seconds: Int64?

    package init(peer: String? = nil, layer: CaptureLayer? = nil, count: Int64? = nil, seconds: Int64? = nil) {
        self.peer = peer
        self.layer = layer
        self.count = count
        self.seconds = seconds
    }

    package typealias Answer = CaptureView

    package static let verb = VerbDescription(
        "capture.start", "Begins a capture, and answers with its first piece", commands: ["capture"])

    package var agentRequest: AgentRequest { .captureStart(self) }
    package static func reply(_ view: CaptureView) -> AgentReply { .capture(view) }
}
