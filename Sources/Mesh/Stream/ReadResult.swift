package struct ReadResult: Hashable, Sendable {
    package let bytes: [UInt8]
    /// The peer's end has been reached; nothing comes after `bytes`.
    package let isFinished: Bool

    package init(bytes: [UInt8], isFinished: Bool) {
        self.bytes = bytes
        self.isFinished = isFinished
    }
}
