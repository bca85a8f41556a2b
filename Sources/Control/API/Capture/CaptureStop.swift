package struct CaptureStop: ShellVerb {
    /// The number that `CaptureView` states.
    package let capture: Int64

    package init(capture: Int64) { self.capture = capture }

    package typealias Answer = CaptureView

    package static let verb = VerbDescription(
        "capture.stop", "Ends a capture, and answers with its last piece", commands: ["capture"])

    package var agentRequest: AgentRequest { .captureStop(self) }
    package static func reply(_ view: CaptureView) -> AgentReply { .capture(view) }
}
