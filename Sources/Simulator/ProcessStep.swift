/// What a worker's process does next, by its script.
package enum ProcessStep: UInt8, Sendable {
    case endsByItself, endsBySignal, endsByKill, isStillThere
}
