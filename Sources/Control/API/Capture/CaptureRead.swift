package struct CaptureRead: ShellVerb {
    /// The number that `CaptureView` states.
    package let capture: Int64

    package init(capture: Int64) { self.capture = capture }

    package typealias Answer = CaptureView

    package static let verb = VerbDescription(
        "capture.read", "The next piece of a capture, at once or within a second", commands: ["capture"])

    package var agentRequest: AgentRequest { .captureRead(self) }
    package static func reply(_ view: CaptureView) -> AgentReply { .capture(view) }
}
