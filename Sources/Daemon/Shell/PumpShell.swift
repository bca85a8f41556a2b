import Base
import EventLoop
package import Mesh

/// What a pump needs of the program around it.
package protocol PumpShell<Change, Action>: AnyObject {
    associatedtype Change
    associatedtype Action

    /// Writes a change. Calls `durable` once when it cannot be lost any more: before this returns, or later on the loop.
    func store(_ change: Change, durable: @escaping () -> Void)
    /// A change is durable, and so is everything before it. Called in the order of the changes.
    func stored(_ change: Change)
    func perform(_ action: Action)
    /// Sends the mesh's datagrams, applies its other outputs, and empties the outbox.
    func send(_ mesh: inout MeshOutbox)
    /// After `Pump.end()`: all inputs are handled and all outputs have left.
    func ended()
}
