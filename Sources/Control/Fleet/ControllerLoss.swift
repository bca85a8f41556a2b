/// Why a controller is given up for the moment.
package enum ControllerLoss: String, Hashable, Sendable {
    case silent = "it does not answer"
    case ended = "the session has ended"
}
