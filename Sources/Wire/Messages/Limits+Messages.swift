/// Maxima of single fields of control messages. The whole message is bounded by `Limits.controlMessageBytes`.
extension Limits {
    /// A free text in a message: a reason, a piece of evidence, a model's name.
    package static let textBytes = 4096
    /// The operation id that a client gives to a command, so that a repeated command is done once.
    package static let operationBytes = 64
    package static let specProblems = 64
    package static let authorities = 4
    package static let controllers = 16
    /// Processes reported for one accelerator.
    package static let acceleratorProcesses = 1024
    /// Texts of one list: evidence, throttle reasons.
    package static let texts = 64
    /// Restarts that one worker's record remembers: more than any useful budget within a window.
    package static let rememberedRestarts = 1024
}
